"""Two hosts: network namespaces with a cable between them, and torchrun. They share nothing else."""

import pytest
from benchmarks.lost_hosts import Trial, the_cable_is_cut

from tests.network_hosts import two_hosts, why_not

reason = why_not()


@pytest.mark.long
@pytest.mark.skipif(bool(reason), reason=reason or "they can be made")
def test_two_hosts_train_and_say_so_when_the_cable_is_cut(tmp_path):
    with two_hosts() as hosts:
        trial = Trial(hosts, tmp_path, images=10**6, timeout=5)
        assert "(--timeout 5s)" in the_cable_is_cut(trial)
        assert trial.nimg() >= 640
        assert not (trial.place(1) / "run").exists()
        (incident,) = trial.incidents()
        assert incident == "lost process: process 1 of 2 was lost: it did not answer in time"
        for host, lost in ((0, 1), (1, 0)):
            said = [line for line in trial.said(host).splitlines() if line.startswith("facegan: ")]
            assert said[0].startswith(f"facegan: process {lost} of 2 was lost: ")
            assert "Traceback" not in trial.said(host)
