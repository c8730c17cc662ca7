"""The library's sentences about errors, for translators; written by `Testing/panel/test_sentences.py`."""


def _(text: str) -> str:
    """Marks what is to be translated, as 3D Slicer's own function of this name does; leaves it as it is."""
    return text


# fmt: off
SENTENCES = (
    _("There is no device {1}: choose one of {2}."),
    _("This computer has no {1} device that PyTorch can use: choose auto or cpu."),
    _("There is no engine {1}: choose one of {2}."),
    _("The engine {1} is not installed or does not run on {2}: choose auto or torch."),
    _("The network's answer is not finite: the model is damaged or the image not of its kind."),
    _("The network's answer is not finite: the model is damaged or the image not its kind."),
    _("The model reads its images with {1}, which does not read 3D medical images: choose another model."),
    _("There is no image to fit on: name at least one."),
    _("Fitting on images needs a 3D model: leave --calibrate out for this one."),
    _("{1} is the second stage of a cascade, which only a segmentation runs."),
    _("{1} needs {2} input channel{3} ({4}) but got {5}: choose one image for each channel."),
    _("The image is smaller than one of {1}: choose another model."),
    _(
        "At {1} the image takes {2} GB of memory and {3} GB are free: close other programs, crop the image, "
        "or choose a model of lower resolution."
    ),
    _(
        "What the network answers takes {1} GB, for which neither memory nor {2} has room: close other "
        "programs, free space on the disk, or crop the image."
    ),
    _("{1} is compressed already, at factor {2}: leave the factor out, or start from the original model."),
    _("The cache's size limit cannot be negative: choose 0 or more."),
    _("The limit could not be kept in {1} ({2})."),
    _("PyTorch {1} cannot open checkpoints safely: update it to 2.6 or later."),
    _("{1} is no checkpoint of nnU-Net (it is packed): choose the file its training saved."),
    _("{1} is no checkpoint of nnU-Net (its weights claim more than it holds): download it again."),
    _("{1} is no checkpoint of nnU-Net: choose the file its training saved."),
    _("{1} is no checkpoint of nnU-Net v2: it has no {2}."),
    _("{1} is no checkpoint of nnU-Net v2: its network_weights are not named tensors."),
    _("{1} is no checkpoint of nnU-Net v2: its init_args name no configuration."),
    _("{1} cannot be read ({2})."),
    _("The checkpoint {1} cannot be read ({2})."),
    _("{1} is damaged or no checkpoint of nnU-Net: download or export it again."),
    _("{1} has no weights: choose another folder."),
    _("{1} has another suffix than a compressed model: end it in {2}."),
    _("{1} was written by another version of TuckerSeg: compress the model again."),
    _("{1} was altered or damaged after it was written: make or download it again."),
    _("{1} needs {2} GB of memory and {3} GB are free: close other programs."),
    _("{1} holds no model that can be used (its folds are not numbered from 0 on): {2}."),
    _("The compressed model lacks weights, such as {1}: compress the model again."),
    _("{1} is no compressed model, or is damaged: {2}."),
    _("{1} holds weights of another precision than networks have: {2}."),
    _("{1} is no model whose structures could be read: choose another one."),
    _("There is no fold in {1}: copy at least one, such as fold_0/{2}."),
    _("No fold was asked for: name at least one."),
    _("No fold in {1} has a {2}: {3}."),
    _(
        "{1} is the second stage of a cascade and takes the labels of {2}: copy the folder {3} beside it, or "
        "choose 3d_fullres."
    ),
    _("There is no {1} in {2}: {3}"),
    _("{1} is not a folder: choose the folder that holds plans.json and fold_0."),
    _("{1} is not valid JSON: download or export the model again."),
    _("There is no {1} in {2}: {3}."),
    _("{1} was trained as another configuration than the first fold: copy matching folds."),
    _("{1} cannot be read (a pipe, a device, a folder or the like): give an ordinary file."),
    _("{1} is no compressed model, or is damaged: make or download it again."),
    _("The weights are not those of the network in the plans ({1} differ, such as {2}): {3}"),
    _("The plans or labels of {1} lack {2}: export the model again."),
    _("nnU-Net cannot use the plans or labels of {1}: {2}."),
    _("The architecture {1} is not supported: only {2} networks are."),
    _("The plans were refused: they ask for {1} as {2}, which is no layer of PyTorch."),
    _("The weights do not fit the network: make the compressed model again."),
    _("There is no model {1}: {2}"),
    _("{1} is {2} networks one after the other, and this is about one: give the folder of one, below {3}."),
    _("{1} holds the folds it was compressed from: leave the choice of folds out."),
    _("{1} is the second stage of a cascade alone: give the folder it was made of."),
    _(
        "{1} {2} by {3}, which the nnU-Net on this computer does not have: put the file that defines it where"
        " the model's authors had it, or choose another model."
    ),
    _("{1} asks nnU-Net's {2} for what it cannot do ({3}): use the nnU-Net that it was trained with."),
    _("The model {1} is missing: install TuckerSeg again, or train it with Resources/train_sample_model.py."),
    _(
        "{1} could not be fetched ({2} MB are here): check the network and try again to go on from there, or "
        "bring the archive from another computer and import it."
    ),
    _("{1} cannot be fetched (it sends from place to place): try again later."),
    _("{1} cannot be fetched (the server answered {2}): {3}."),
    _("The weights {1} were never released: they can only be imported."),
    _(
        "{1} needs a licence number: get one at {2} and give it along (in the shell: --license-number "
        "NUMBER)."
    ),
    _("What {1} sent holds no {2}: these are weights of another version."),
    _("{1} cannot be fetched (it sends to {2} without encryption): {3}."),
    _("{1} wants the licence number sent to {2}, which was not done: {3}."),
    _("{1} sent a part that nobody asked for: try again later."),
    _("TotalSegmentator's server refused the licence number: check it, or ask for a new one."),
    _("{1} cannot be written to ({2}): free space or ask for access."),
    _("{1} cannot be fetched ({2}): try again later."),
    _("What {1} sent is damaged or holds no nnU-Net: try again later."),
    _("There is no task {1}: {2}"),
    _("TotalSegmentator cannot look for {1} alone: leave the choice out."),
    _("{1} was refused: it unpacks to far more than weights are."),
    _("{1} has {2} GB free but the weights need {3} GB: free some space."),
    _("{1} holds no weights of TotalSegmentator: its folders have other names."),
    _("{1} cannot be read ({2}): check the name."),
    _("{1} is damaged or no zip archive: download or copy it again."),
    _("{1} was refused: {2} leads out of the folder it is unpacked in."),
    _("{1} cannot be unpacked ({2})."),
    _("{1} holds no whole nnU-Net in {2}: download or copy it again."),
    _("{1} cannot be removed ({2}): close what uses it."),
    _("{1} is not the first stage of {2}: copy the folder that is."),
    _(
        "{1} is compressed and comes without its original network, so that no agreement with that can be "
        "promised: leave that out, or choose the original model and a factor."
    ),
    _("{1} is a cascade of two models, and one file holds one: segment with its folder."),
    _("There is no policy {1}: choose one of {2}."),
    _("A factor of 1 leaves nothing to compress: choose one below, such as 0.3."),
    _("{1} is compressed already: start from the original model."),
    _("The policy {1} has no {2}: it takes {3}."),
    _("The step {1} lies outside (0, 1]: choose a share of a patch's size."),
    _("An agreement of {1} cannot be reached: choose one up to 1, such as 0.98."),
    _("{1} is no number of cores: choose 1 or more, 0 for all or -1 for all but one."),
    _("{1} bytes of memory are none: allow some, such as 4GB."),
    _("A segmentation has no option {1}: {2}"),
    _("The two segmentations lie on different grids: resample one of them to the other's."),
    _("Agreement is measured one network at a time: name a trained folder instead of a task."),
    _("{1} has {2} networks: export those of one trained folder each."),
    _("{1} prescribes its folds: leave the choice of folds out."),
    _("Folds are those of one model: leave the choice of folds out, or the other models."),
    _("{1} takes {2} channels, and a phantom has one."),
    _("{1} holds no calibration of {2}: prepare this very model there, or here."),
    _("{1} cannot be prepared: its network sees slices, not volumes."),
    _(
        "{1} cannot be prepared on phantoms, which are volumes of one channel: name images of its own kind "
        "with --images."
    ),
    _("{1} has {2} folds, and a file holds the record of one."),
    _("{1} is not prepared: run 'tuckerseg prepare' first."),
    _("{1} is compressed already: prepare the model it was made from."),
    _(
        "The licence number that {1} needs {2}: get one at {3} and give it to 'tuckerseg models install {4} "
        "--license-number NUMBER'."
    ),
    _(
        "{1} needs about {2} GB of memory for this image and {3} GB are free: close other programs, crop the "
        "image, or choose a task of coarser resolution, if there is one."
    ),
    _(
        "{1} finds {2} structures where {3} has {4}: these are weights of another version, install them "
        "again."
    ),
    _("There is no room for {1} MB in {2}{3}: free some."),
    _("What the other process shared is not there any more: try again."),
    _("The segmentation was cancelled."),
    _("The worker {1}: try again; the next run starts a new one."),
    _("{1} could not be started ({2}): install TuckerSeg again."),
    _(
        "The memory does not suffice: close other programs, crop the image, or choose a model of lower "
        "resolution."
    ),
    _("The run failed unexpectedly ({1}: {2})."),
    _("The worker understands no {1}."),
    _("The worker has no method {1}."),
    _("A budget is either a factor or a share: give one of the two."),
    _("A share of {1} is outside (0, 1]: choose one such as 0.1."),
    _("There is no measure {1}: choose {2}."),
    _("A budget of seconds needs those of every layer: have them measured first."),
    _("A budget of multiply-adds needs the network's own: name the model's patch."),
    _("{1} was made for another model or by another version: prepare the model again."),
    _("{1} is no calibration record that can be read: prepare the model again."),
    _("{1} is incomplete: prepare the model again."),
    _("The calibration record belongs to another network: prepare the model again."),
    _("The calibration record holds no finite numbers: prepare the model again."),
    _("A minimum rank of {1} leaves no channel: choose 1 or more."),
    _("A factor of {1} is outside (0, 1]: choose one of {2}."),
    _("A share of {1} is outside (0, 1): choose one such as 0.9."),
    _(
        "This run takes {1} GB of memory already and may take {2} GB: allow it more, crop the image, or "
        "choose a faster level."
    ),
    _("No volume is chosen: choose a CT or MR volume."),
    _("The volume {1} has no voxels: load it again or choose another one."),
    _("The volume {1} has several values a voxel (colours?): convert it to a scalar volume."),
    _("The volume {1} is under a transform that is not linear: harden the transform first."),
    _("The volume {1} was moved or changed after it was read: segment it again."),
    _("Two labels of the model have the same name: give each structure its own."),
    _("{1} is not a segmentation file: end its name in {2}."),
    _("{1} could not be written to its end: free some space or choose another folder."),
    _("This model has no structure {1}: {2}"),
    _("The image's geometry is not a finite 4x4 matrix: export it again from its source."),
    _("The image has a voxel spacing of zero: correct its header or export it again."),
    _("The image's voxels have an impossible size or position: correct its header."),
    _("The image's axis directions are singular: correct its header or export it again."),
    _("A 3D image is needed, this one has the shape {1}: choose a single 3D volume."),
    _("Voxels of the type {1} are not intensities: convert the image to grey."),
    _("The image is {1} voxels but its geometry {2}."),
    _("The image has NaN or infinite voxels: replace them (in CT by -1024) and try again."),
)
