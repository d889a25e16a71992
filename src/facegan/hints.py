"""What people who come from other programs mean: their names of settings, flags and commands, and facegan's."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

_BOTH = ("generator_optimizer.", "discriminator_optimizer.")

_SETTINGS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("lr", "learning_rate", "rate"), tuple(f"{part}learning_rate" for part in _BOTH)),
    **dict.fromkeys(("lrg", "lr_g", "g_lr", "glr", "generator_lr"), ("generator_optimizer.learning_rate",)),
    **dict.fromkeys(("lrd", "lr_d", "d_lr", "dlr", "discriminator_lr"), ("discriminator_optimizer.learning_rate",)),
    **dict.fromkeys(("beta1", "b1", "adam_beta1", "beta_1"), tuple(f"{part}beta1" for part in _BOTH)),
    **dict.fromkeys(("beta2", "b2", "adam_beta2", "beta_2"), tuple(f"{part}beta2" for part in _BOTH)),
    **dict.fromkeys(("eps", "adam_epsilon", "epsilon"), tuple(f"{part}epsilon" for part in _BOTH)),
    **dict.fromkeys(("optimizer", "optim", "opt"), tuple(f"{part}name" for part in _BOTH)),
    **dict.fromkeys(("momentum",), tuple(f"{part}momentum" for part in _BOTH)),
    **dict.fromkeys(("ngf", "gf_dim", "g_conv_dim", "generator_width"), ("generator.width",)),
    **dict.fromkeys(("ndf", "df_dim", "d_conv_dim", "discriminator_width"), ("discriminator.width",)),
    **dict.fromkeys(("width", "cbase", "network_capacity"), ("generator.width", "discriminator.width")),
    **dict.fromkeys(("cmax", "fmap_max"), ("generator.max_channels", "discriminator.max_channels")),
    **dict.fromkeys(("nz", "z_dim", "zdim", "latent_dim", "noise_dim", "z_size"), ("latent_size",)),
    **dict.fromkeys(("w_dim", "style_dim"), ("generator.style_size",)),
    **dict.fromkeys(("map_depth", "style_depth", "n_mlp"), ("generator.mapping_layers",)),
    **dict.fromkeys(("gamma", "r1_gamma", "r1_weight"), ("r1", "r2")),
    **dict.fromkeys(("gp", "lambda_gp", "gp_weight", "gp_lambda"), ("gradient_penalty",)),
    **dict.fromkeys(("d_reg_every", "lazy_reg"), ("penalty_every",)),
    **dict.fromkeys(("mirror", "xflip", "hflip", "random_flip"), ("flip",)),
    **dict.fromkeys(("aug", "augpipe", "aug_prob", "aug_types"), ("augment",)),
    **dict.fromkeys(("target", "ada_kimg"), ("ada_target",)),
    **dict.fromkeys(("ema", "ema_kimg", "ema_decay", "ema_beta", "use_ema"), ("ema_halflife",)),
    **dict.fromkeys(("adv_loss", "gan_mode", "loss_type", "gan_type"), ("loss",)),
    **dict.fromkeys(("label_smoothing", "smooth"), ("real_label",)),
    **dict.fromkeys(("cond", "conditional"), ("attributes",)),
}
"""Other programs' names of what ``--set`` changes."""

_OTHER_UNITS = {"ema_halflife", "augment", "ada_target", "real_label", "loss", "flip"}
"""Settings whose values other programs write in another way."""

_SIZE = "facegan prepare SRC OUT --resolution PIXELS: a training makes faces of its data's size"
_FLAGS: dict[str, str] = {
    **dict.fromkeys(
        ("batch", "batch_size", "bs", "mb", "train_batch_size", "batch_gpu", "per_device_train_batch_size"), "--batch"
    ),
    **dict.fromkeys(
        ("epochs", "epoch", "n_epochs", "num_epochs", "num_train_epochs", "niter", "steps", "num_steps", "iterations",
         "num_train_steps", "max_train_steps", "total_iters", "duration"),
        "--images: facegan counts the images that the training has seen, such as --images 2M (an epoch is as many as "
        "the data has, a step is one --batch)",
    ),
    **dict.fromkeys(("kimg", "total_kimg"), "--images: a kimg is a thousand images, --images 25M is --kimg 25000"),
    **dict.fromkeys(("image_size", "imagesize", "img_size", "resolution", "size", "res", "input_size"), _SIZE),
    **dict.fromkeys(
        ("outdir", "output_dir", "out_dir", "results_dir", "models_dir", "outf", "logging_dir", "log_dir", "logdir",
         "run_dir", "checkpoint_dir", "save_dir", "name", "exp_name"), "--run, or --out",
    ),
    **dict.fromkeys(
        ("dataroot", "dataset", "data_dir", "train_data_dir", "dataset_name", "data_path", "path", "data"),
        "DATA: the folder that facegan prepare wrote, without a flag (facegan train DATA ...)",
    ),
    **dict.fromkeys(("cfg", "config", "arch", "model_name", "model_type", "preset"), "--recipe"),
    **dict.fromkeys(
        ("resume", "resume_from_checkpoint", "load_from", "netg", "netd", "checkpoint", "ckpt", "pretrained"),
        "--run: the same --run goes on by itself; --init MODEL begins with another model's weights",
    ),
    **dict.fromkeys(("gpus", "ngpu", "num_gpus", "multi_gpus", "gpu", "world_size"), "--devices"),
    **dict.fromkeys(("cuda", "use_cuda", "no_cuda"), "--accelerator, or --device"),
    **dict.fromkeys(("snap", "save_every", "save_model_epochs", "checkpointing_steps", "save_interval"),
                    "--snapshot-every"),
    **dict.fromkeys(("evaluate_every", "sample_interval", "save_images_epochs"), "--sample-every"),
    **dict.fromkeys(("fp16", "fp32", "bf16", "amp", "mixed_precision"), "--precision"),
    **dict.fromkeys(("manualseed", "manual_seed", "random_seed"), "--seed"),
    **dict.fromkeys(("seeds",), "--seed and --count"),
    **dict.fromkeys(("trunc", "truncation_psi", "psi", "trunc_psi"), "--truncation"),
    **dict.fromkeys(
        ("n", "num", "num_samples", "num_images", "num_generate", "n_samples", "num_image_tiles", "n_sample"), "--count"
    ),
    **dict.fromkeys(("samples_per_shard", "images_per_shard", "shard_count"), "--shard-size"),
    **dict.fromkeys(("num_shards", "n_shards", "shards", "shard_index", "rank", "part"), "--shard: I/N, such as 1/4"),
    **dict.fromkeys(("network", "network_pkl", "model", "model_path"), "MODEL: the folder of a run, without a flag"),
    **dict.fromkeys(("metrics", "metric"), "--space, or facegan evaluate MODEL DATA after the training"),
    **dict.fromkeys(("warmup_steps", "lr_warmup_steps"), "--warmup, in images"),
    **dict.fromkeys(("overwrite", "f", "y"), "--force"),
    **dict.fromkeys(("class", "attributes_list", "label", "attribute"), "--attr"),
}  # fmt: skip
"""Other programs' names of what facegan's own flags and arguments say."""

_COMMANDS = {
    **dict.fromkeys(("generate", "gen", "samples", "inference", "predict"), "sample"),
    **dict.fromkeys(("fid", "eval", "metrics", "calc_metrics", "score", "test"), "evaluate"),
    **dict.fromkeys(("pack", "preprocess", "dataset_tool", "dataset", "convert", "data"), "prepare"),
    **dict.fromkeys(("fit", "finetune", "fine_tune", "resume", "continue"), "train"),
    **dict.fromkeys(("list", "ls", "status", "clean"), "runs"),
    **dict.fromkeys(("video", "animate", "gif"), "film"),
    **dict.fromkeys(("describe", "info", "architecture", "recipes"), "summary"),
    **dict.fromkeys(("html", "dashboard"), "report"),
    **dict.fromkeys(("diagnose", "check", "env", "collect_env", "debug"), "doctor"),
    **dict.fromkeys(("estimate", "budget", "benchmark", "dry_run", "profile"), "plan"),
}


def _plain(name: str) -> str:
    return name.lstrip("-").lower().replace("-", "_")


def for_setting(path: str, value: str, known: Iterable[str]) -> str:
    """Return what to write in place of ``--set path=value``; ``known``: the dotted names that may stand there."""
    known, (part, dot, leaf) = list(known), path.rpartition(".")
    named = [name for name in _SETTINGS.get(_plain(leaf), ()) if name in known]
    inside = [name for name in named if name.startswith(part + dot)]
    if named:
        same = not set(named) & _OTHER_UNITS
        settings = [f"--set {name}={value if same else '...'}" for name in inside or named]
        return f"did you mean {' and '.join(settings)}?" + ("" if same else " (facegan summary RECIPE --settings)")
    if not dot and (flag := _FLAGS.get(_plain(leaf))):
        return f"that is no setting of a recipe; use {flag}"
    low = {name.lower(): name for name in known}
    near = difflib.get_close_matches(_plain(path), low, n=1, cutoff=0.4)
    if near:
        return f"did you mean {low[near[0]]}?"
    return f"known: {', '.join(known)}"


def for_flag(flag: str, flags: Iterable[str]) -> str:
    """Return what to write in place of an unknown flag of a command that has these; "" if nothing comes to mind."""
    flags, name = list(flags), _plain(flag)
    near = difflib.get_close_matches("--" + name.replace("_", "-"), flags, n=1, cutoff=0.75)
    if near and near[0] != "--help":
        return f"did you mean {near[0]}?"
    if "--set" in flags and name in _SETTINGS:
        return f"write {' and '.join(f'--set {setting}=VALUE' for setting in _SETTINGS[name])}"
    meant = _FLAGS[name].split(", or ") if name in _FLAGS else []
    choices = [choice for choice in meant if not choice.startswith("--") or _flag_of(choice) in flags]
    if choices:
        return f"use {choices[0]}"
    near = difflib.get_close_matches("--" + name.replace("_", "-"), flags, n=1)
    return f"did you mean {near[0]}?" if near else ""


def _flag_of(text: str) -> str:
    return text.split()[0].rstrip(":,")


def for_command(name: str, commands: Iterable[str]) -> str:
    """Return the command that is meant; "" if none comes to mind."""
    commands = list(commands)
    near = difflib.get_close_matches(name.lower().replace("_", "-"), commands, n=1)
    meant = _COMMANDS.get(_plain(name)) or (near[0] if near else "")
    return f"did you mean facegan {meant}?" if meant else f"commands: {', '.join(commands)}"


_OPPOSITES = {
    **dict.fromkeys(("beard", "bearded", "full_beard"), "No_Beard"),
    **dict.fromkeys(("female", "woman", "girl", "gender_female"), "Male"),
    **dict.fromkeys(("old", "senior", "elderly"), "Young"),
}
_ALIASES = {"glasses": "Eyeglasses", "makeup": "Heavy_Makeup", "hat": "Wearing_Hat", "happy": "Smiling", "man": "Male"}
"""What attributes are called in everyday words."""


def for_attribute(name: str, known: Iterable[str]) -> str:
    """Return which of the ``known`` attributes is meant by a name that is none of them."""
    known, plain = list(known), _plain(name.strip().replace(" ", "_"))
    if plain in _OPPOSITES:
        return f"that is the opposite of {_OPPOSITES[plain]}: give {_OPPOSITES[plain]}=-1"
    near = _ALIASES.get(plain) or nearest(plain, known)
    return f"did you mean {near}?" if near else f"known: {', '.join(known)}"


def nearest(name: str, known: Iterable[str], *, cutoff: float = 0.5) -> str | None:
    """Return the nearest of some names, whatever their case and their way to join words, or None."""
    plain = {_plain(word): word for word in known}
    near = difflib.get_close_matches(_plain(name), plain, n=1, cutoff=cutoff)
    return plain[near[0]] if near else None
