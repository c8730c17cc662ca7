"""What nnU-Net writes into plans and labels, and this package into compressed models, within bounds that suffice.

Checked before anything is made of it: nnU-Net looks at most of it only in the middle of a run, and some of it, such as
stages by the million, it would work on for hours. Whether nnU-Net knows what the plans name is `models.runnable`'s.
"""

from .checks import Check, digits, either, fields, keyed, listed, number, one_of, text, whole

_MANY = 100_000

_STAGES = 20

_SIZE = whole(1, 4096)

_CHANNELS = whole(1, 16_384)

_SPACING = number(1e-6, 1e6)
"""Millimetres, or whatever else microscopes and photographs are measured in."""

_LABEL = whole(0, 65_535)

_NUMBER = either(number(), one_of(None, True, False), text())


def _per_stage(each: Check) -> Check:
    return either(each, listed(each, 1, _STAGES))


_KERNEL = one_of(*range(1, 32, 2))
"""Odd, as only then layers keep the size of what they are given."""

_KERNELS = either(_KERNEL, listed(either(_KERNEL, listed(_KERNEL, 1, 3)), 1, _STAGES))

_STRIDES = either(whole(1, 32), listed(either(whole(1, 32), listed(whole(1, 32), 1, 3)), 1, _STAGES))

_ARCHITECTURE = fields(
    {
        "network_class_name": text(),
        "arch_kwargs": fields(
            {
                "n_stages": whole(1, _STAGES),
                "features_per_stage": _per_stage(_CHANNELS),
                "kernel_sizes": _KERNELS,
                "strides": _STRIDES,
                "n_conv_per_stage_decoder": either(listed(whole(1, 50), 0, _STAGES), whole(1, 50)),
            },
            {
                "n_conv_per_stage": _per_stage(whole(1, 50)),
                "n_blocks_per_stage": _per_stage(whole(1, 50)),
                "stem_channels": either(_CHANNELS, one_of(None)),
                "conv_bias": one_of(True, False),
                "norm_op_kwargs": either(keyed(_NUMBER, 20), one_of(None)),
                "dropout_op_kwargs": either(keyed(_NUMBER, 20), one_of(None)),
                "nonlin_kwargs": either(keyed(_NUMBER, 20), one_of(None)),
            },
        ),
        "_kw_requires_import": listed(text(), 0, 20),
    }
)

_OPTIONS = keyed(_NUMBER, 50)

_CONFIGURATION = fields(
    {},
    {
        "inherits_from": text(),
        "previous_stage": either(text(), one_of(None)),
        "preprocessor_name": text(),
        "patch_size": listed(_SIZE, 2, 3),
        "spacing": listed(_SPACING, 2, 3),
        "normalization_schemes": listed(text(), 1, 1000),
        "use_mask_for_norm": listed(one_of(True, False), 1, 1000),
        "resampling_fn_data": text(),
        "resampling_fn_probabilities": text(),
        "resampling_fn_data_kwargs": _OPTIONS,
        "resampling_fn_probabilities_kwargs": _OPTIONS,
        "architecture": _ARCHITECTURE,
        # As nnU-Net wrote the architecture before its version 2.3
        "UNet_class_name": text(),
        "UNet_base_num_features": _CHANNELS,
        "unet_max_num_features": _CHANNELS,
        "n_conv_per_stage_encoder": listed(whole(1, 50), 1, _STAGES),
        "n_conv_per_stage_decoder": listed(whole(1, 50), 0, _STAGES),
        "pool_op_kernel_sizes": _STRIDES,
        "conv_kernel_sizes": _KERNELS,
    },
)

_ORDER = one_of([0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0])

_INTENSITIES = keyed(fields({}), 1000)

PLANS = fields(
    {
        "configurations": keyed(_CONFIGURATION, 1000),
        "transpose_forward": _ORDER,
        "transpose_backward": _ORDER,
        "image_reader_writer": text(),
    },
    {
        "dataset_name": text(),
        "label_manager": text(),
        "foreground_intensity_properties_per_channel": _INTENSITIES,
        "foreground_intensity_properties_by_modality": _INTENSITIES,
    },
)

_CHANNEL_NAMES = keyed(text(), 1000, digits(1000))

DATASET = fields(
    {"labels": keyed(either(listed(_LABEL, 1, _MANY), _LABEL), _MANY)},
    {
        "channel_names": _CHANNEL_NAMES,
        "modality": _CHANNEL_NAMES,
        "regions_class_order": either(listed(_LABEL, 1, _MANY), one_of(None)),
    },
)

MIRROR_AXES = either(one_of(None), listed(whole(0, 2), 0, 3))

_POLICY = keyed(either(number(), one_of(True, False), text()), 100)

_COUNT = either(number(1), one_of(None))

_REPORT = fields(
    {
        "parameters": number(1),
        "parameters_before": number(1),
        "layers": listed(fields({"ranks": either(one_of(None), listed(_CHANNELS, 2, 2))}), 0, _MANY),
    },
    {"multiply_adds": _COUNT, "multiply_adds_before": _COUNT},
)

DESCRIPTION = fields({"name": text(), "policy": _POLICY})
"""What is shown of a compressed model without opening it."""

HEADER = fields(
    {
        "name": text(),
        "fingerprint": text(),
        "plans": PLANS,
        "dataset": DATASET,
        "configuration": text(),
        "trainer": text(),
        "mirror_axes": MIRROR_AXES,
        "policy": _POLICY,
        "ranks": keyed(listed(_CHANNELS, 2, 2), _MANY),
        "report": _REPORT,
    }
)
"""Of a compressed model, but for its format's number."""
