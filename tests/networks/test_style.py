"""The style pair against the definitions in its papers."""

import math

import pytest
import torch
import torch.nn.functional as F

from facegan.errors import UserError
from facegan.networks import build_discriminator, build_generator, style_layers
from facegan.networks.conv_algorithms import DIRECT, PLAIN
from facegan.networks.style import StyleDiscriminator, sizes
from facegan.networks.style_layers import SLOPE, MinibatchDeviation, ScaledConv, ScaleShiftLeak

SMALL = {"resolution": 16, "width": 8, "max_channels": 16}


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def generator(**changes):
    return build_generator("style", SMALL | {"latent_size": 12, "style_size": 16} | changes, seed=1).double()


@pytest.mark.parametrize("size", [4, 5, 8])
@pytest.mark.parametrize("resample", ["", "up", "down"])
def test_folded_convolution_equals_the_plain_one(resample, size):
    layer = ScaledConv(3, 5, resample=resample).double()
    for number, parameter in enumerate(layer.parameters()):
        torch.nn.init.normal_(parameter, generator=torch.Generator().manual_seed(number))
    x = noise(2, 3, 2 * size, 2 * size)
    layer.algorithm = PLAIN
    plain = layer(x)
    layer.algorithm = DIRECT
    torch.testing.assert_close(layer(x), plain, rtol=1e-12, atol=1e-12)


def test_means_within_a_convolution_are_means_before_it(monkeypatch):
    """What a GPU computes is what a processor does, and so are its gradients."""
    layer = ScaledConv(3, 5, 1, bias=False).double()
    torch.nn.init.normal_(layer.weight, generator=torch.Generator().manual_seed(0))
    x = noise(2, 3, 8, 8).requires_grad_()
    made = []
    for devices in ((), ("cpu",)):
        monkeypatch.setattr(style_layers, "_POOLED_BY_CONVOLUTION", devices)
        y = layer.of_means(x)
        (slope,) = torch.autograd.grad(y.square().sum(), x, create_graph=True)
        made.append((y, slope, *torch.autograd.grad(slope.square().sum(), layer.weight)))
    torch.testing.assert_close(made[1], made[0], rtol=1e-12, atol=1e-12)
    assert made[0][0].shape == (2, 5, 4, 4)
    assert not torch.equal(made[0][0], made[1][0])  # two ways of summing


def test_fused_activation_has_the_gradients_of_its_definition():
    x, scale, shift = noise(2, 3, 4, 4), noise(2, 3, seed=1).abs() + 0.1, noise(2, 3, seed=2)
    fused = ScaleShiftLeak.apply(x, scale, shift)
    plain = F.leaky_relu(x * scale[:, :, None, None] + shift[:, :, None, None], SLOPE)
    torch.testing.assert_close(fused, plain)
    inputs = tuple(tensor.requires_grad_() for tensor in (x, scale, shift))
    assert torch.autograd.gradcheck(ScaleShiftLeak.apply, inputs)


@pytest.mark.parametrize("fine_layer", [False, True])
def test_synthesis_equals_modulated_and_demodulated_weights_of_each_sample(fine_layer):
    """Karras et al. 2020, equations 1 to 3, with a kernel of each sample's own."""
    made = generator(patch=1, second_conv_max_side=16, fine_layer=fine_layer).train()
    with torch.no_grad():
        made.pictures[-1].weight.normal_(generator=torch.Generator().manual_seed(4))
        for layer in made.layers:
            layer.shift.normal_(generator=torch.Generator().manual_seed(3))
    style_NW = noise(3, 16)
    scales = [F.softplus(affine(style_NW) + math.log(math.e - 1)) for affine in made.styles]
    for sample in range(3):
        x, image = made.constant[None], None
        for number, layer in enumerate(made.layers):
            convolution = layer.convolution
            weight = convolution.weight * convolution.scale * scales[number][sample][None, :, None, None]
            if convolution.resample == "up":
                x = F.interpolate(x, scale_factor=2.0, mode="nearest")
                # Nearest upsampling repeats pixels: what comes out has the second moment of the folded kernel.
                folded = convolution.kernel() * scales[number][sample][:, None, None, None]
                energy = folded.square().sum((0, 2, 3)) / 4
            else:
                energy = weight.square().sum((1, 2, 3))
            weight = weight / (energy + 1e-8).sqrt()[:, None, None, None]
            x = F.leaky_relu(F.conv2d(x, weight, padding=1) + layer.shift[None, :, None, None], SLOPE) * math.sqrt(2)
            if number in made.ends:
                picture_layer = made.pictures[made.ends.index(number)]
                modulated = x * scales[number + 1][sample][None, :, None, None]
                picture = F.conv2d(modulated, picture_layer.weight * picture_layer.scale, picture_layer.bias)
                if image is not None and image.shape != picture.shape:
                    image = F.interpolate(image, scale_factor=2.0, mode="bilinear", align_corners=False)
                image = picture if image is None else image + picture
        torch.testing.assert_close(made.synthesize(style_NW)[sample : sample + 1], image, rtol=1e-4, atol=1e-5)


def test_features_that_are_alike_give_pixels_that_are_alike():
    picture = generator(patch=2).pictures[-1]
    inner = picture(torch.ones(1, picture.weight.shape[1], 8, 8, dtype=torch.float64))[..., 1:-1, 1:-1]
    assert inner.shape == (1, 3, 14, 14) and inner.abs().min() > 0
    torch.testing.assert_close(inner, inner[..., :1, :1].expand_as(inner))


def test_activations_keep_their_size():
    made = build_generator("style", {"resolution": 64, "latent_size": 128, "width": 16, "max_channels": 64}, seed=0)
    moments = []
    for layer in made.layers:
        layer.register_forward_hook(lambda module, given, result: moments.append(result / given[2][:, :, None, None]))
    made(noise(16, 128).float())
    for moment in moments:
        assert 0.5 < moment.square().mean().sqrt() < 2


@pytest.mark.parametrize("patch", [1, 2])
@pytest.mark.parametrize("resolution", [16, 24, 40, 56, 64, 96])
def test_every_resolution_that_halves_to_4_to_7(resolution, patch):
    options = {"resolution": resolution, "width": 4, "max_channels": 8, "patch": patch}
    made = build_generator("style", options | {"latent_size": 8, "style_size": 8}, seed=0).eval()
    judge = build_discriminator("style", options, seed=0).eval()
    with torch.inference_mode():
        image = made(noise(3, 8).float())
        assert image.shape == (3, 3, resolution, resolution) and image.abs().max() <= 1
        assert judge(image).shape == (3,)
    assert sizes(resolution, patch)[-1] * patch == resolution and 4 <= sizes(resolution, patch)[0] <= 7


@pytest.mark.parametrize("resolution", [4, 8, 36, 65, 100])
def test_other_resolutions_are_refused(resolution):
    with pytest.raises(UserError, match="such as 64, 80, 96"):
        sizes(resolution, 2)


def test_no_attributes_are_zeros_and_others_change_the_face_and_the_logit():
    made = generator().eval()
    judge = build_discriminator("style", SMALL, seed=2).double().eval()
    latent, zeros = noise(4, 12), torch.zeros(4, 40, dtype=torch.float64)
    smiling = zeros.clone()
    smiling[:, 31] = 1
    torch.testing.assert_close(made(latent), made(latent, zeros))
    assert (made(latent) - made(latent, smiling)).abs().mean() > 1e-4
    image = made(latent)
    torch.testing.assert_close(judge(image), judge(image, attributes_NA=zeros))
    plus, minus = (judge(image, attributes_NA=sign * smiling) for sign in (1, -1))
    torch.testing.assert_close((plus + minus) / 2, judge(image))  # a projection is linear in the attributes
    assert (plus - minus).abs().min() > 1e-6


def test_minibatch_deviation_by_hand():
    layer = MinibatchDeviation(4)
    x = noise(8, 3, 2, 2)
    deviation = [x[start : start + 4].std(0, correction=0).mean() for start in (0, 4)]
    channel = layer(x)[:, 3]
    for group in range(2):
        torch.testing.assert_close(
            channel[4 * group : 4 * group + 4], deviation[group].expand(4, 2, 2), rtol=1e-5, atol=0
        )
    assert layer.usual == pytest.approx(0.01 * float(sum(deviation) / 2), rel=1e-5)
    layer.eval()
    torch.testing.assert_close(layer(x[:1])[:, 3], layer(x)[:1, 3])


def test_a_logit_does_not_depend_on_company_in_inference_and_on_other_groups_in_training():
    judge = build_discriminator("style", SMALL, seed=2).double()
    x = noise(8, 3, 16, 16)
    together = judge(x)
    torch.testing.assert_close(judge(x[4:]), together[4:])
    assert (judge(x[[0, 1, 2, 4]])[:3] - together[:3]).abs().min() > 1e-9
    judge.eval()
    torch.testing.assert_close(judge(x[:1]), judge(x)[:1])


def test_latents_and_batches_that_do_not_fit_are_named():
    with pytest.raises(UserError, match=r"latents \[3, 100\]: this generator takes \[N, 12\]"):
        generator()(noise(3, 100))
    judge = build_discriminator("style", SMALL, seed=2).double()
    with pytest.raises(UserError, match="3 images: in training this discriminator takes groups of 4"):
        judge(noise(3, 3, 16, 16))


def test_the_discriminator_has_a_gradient_of_its_gradient():
    judge = StyleDiscriminator(**SMALL).double()
    for number, parameter in enumerate(judge.parameters()):
        torch.nn.init.normal_(parameter, generator=torch.Generator().manual_seed(number))
    judge.eval()
    x = noise(1, 3, 16, 16).requires_grad_()
    weight = judge.blocks[0].second.weight

    def norm():
        (gradient,) = torch.autograd.grad(judge(x).sum(), x, create_graph=True)
        return gradient.square().sum()

    (gradient,) = torch.autograd.grad(norm(), weight)
    step, place = 1e-6, (0, 0, 1, 1)
    weight.data[place] += step
    above = norm()
    weight.data[place] -= 2 * step
    below = norm()
    assert gradient[place].item() == pytest.approx(((above - below) / (2 * step)).item(), rel=1e-4)


def test_recipes_stay_within_their_sizes():
    from facegan import recipes

    for name, most in (("style-s", 1_000_000), ("style", 3_000_000), ("style-m", 10_000_000)):
        config = recipes.recipe(name, 64)
        with torch.device("meta"):
            made = build_generator(config.network, config.generator_options, seed=None)
        assert sum(parameter.numel() for parameter in made.parameters()) <= most
