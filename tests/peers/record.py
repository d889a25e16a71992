"""Record what torch-fidelity and prdc say, for the tests to compare with: python tests/peers/record.py

Run it in the environment that ``make_environment.sh`` builds. torch-fidelity imports torchvision, of which there is no
CPU build, for data sets and networks that are not used here; empty modules stand in for it.
"""

import sys
import types
from pathlib import Path

import numpy as np
import torch

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parents[1] / "src"), str(HERE.parents[1])]

from tests.peers.cases import features, images, inception_weights, kernel_subsets  # noqa: E402


def stand_in(name: str) -> types.ModuleType:
    return sys.modules.setdefault(name, types.ModuleType(name))


def import_torch_fidelity():
    root = stand_in("torchvision")
    root.datasets, root.transforms = stand_in("torchvision.datasets"), stand_in("torchvision.transforms")
    root.transforms.functional, root.models = (
        stand_in("torchvision.transforms.functional"),
        stand_in("torchvision.models"),
    )
    for name in ("CIFAR10", "STL10", "CIFAR100"):
        setattr(root.datasets, name, type(name, (), {}))
    from torch_fidelity import feature_extractor_inceptionv3, metric_fid, metric_isc, metric_kid

    return feature_extractor_inceptionv3, metric_fid, metric_kid, metric_isc


def main() -> None:
    inceptionv3, fid, kid, isc = import_torch_fidelity()
    from prdc import compute_prdc

    recorded: dict[str, np.ndarray] = {}
    for case, (generated, reference) in features().items():
        statistics = [fid.fid_features_to_statistics(torch.from_numpy(part)) for part in (generated, reference)]
        value = fid.fid_statistics_to_metric(*statistics, verbose=False)[fid.KEY_METRIC_FID]
        recorded[f"{case}/frechet"] = np.array(value)
        doubles = generated.astype(np.float64), reference.astype(np.float64)
        options = {"kid_kernel": "poly", "kid_kernel_poly_degree": 3, "kid_kernel_poly_gamma": None}
        subsets = [
            kid.kernel_mmd(doubles[0][one], doubles[1][other], kid_kernel_poly_coef0=1, **options)
            for one, other in kernel_subsets(len(generated), len(reference))
        ]
        recorded[f"{case}/kernel"] = np.array(subsets)
        found = compute_prdc(reference, generated, nearest_k=5)
        recorded[f"{case}/neighbours"] = np.array(
            [found[name] for name in ("precision", "recall", "density", "coverage")]
        )
    weights = HERE / "inception.pth"
    torch.save(inception_weights(), weights)
    try:
        extractor = inceptionv3.FeatureExtractorInceptionV3(
            "inception", ["2048", "logits_unbiased"], feature_extractor_weights_path=str(weights)
        )
    finally:
        weights.unlink()
    with torch.inference_mode():
        for side, image_NHWC in images().items():
            image_NCHW = torch.from_numpy(image_NHWC).permute(0, 3, 1, 2).contiguous()
            found_ND, logits_NC = extractor(image_NCHW)
            recorded[f"inception/{side}"] = found_ND.numpy()
            score = isc.isc_features_to_metric(logits_NC, splits=1, shuffle=False)
            recorded[f"inception-score/{side}"] = np.array(score[isc.KEY_METRIC_ISC_MEAN])
    np.savez_compressed(HERE / "recorded.npz", **recorded)
    print({name: array.shape for name, array in recorded.items()})


if __name__ == "__main__":
    main()
