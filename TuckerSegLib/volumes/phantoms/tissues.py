"""What is painted: the structures with their labels, and what each tissue attenuates in Hounsfield units.

Sources: Schneider et al., Phys Med Biol 1996;41:111 (fat, muscle, bone, lung); Lamba et al., AJR 2014;203:1013
(abdominal organs without contrast); Bae, Radiology 2010;256:32 (contrast phases); Pickhardt et al.,
Ann Intern Med 2013;158:588 (vertebral marrow).
"""

LABELS: dict[str, int] = {
    name: label
    for label, name in enumerate(
        (
            "spleen", "kidney_right", "kidney_left", "gallbladder", "liver", "stomach", "pancreas",
            "lung_upper_lobe_left", "lung_lower_lobe_left", "lung_upper_lobe_right", "lung_middle_lobe_right",
            "lung_lower_lobe_right", "esophagus", "trachea", "colon", "urinary_bladder", "sacrum", "vertebrae_lumbar",
            "vertebrae_thoracic", "heart", "aorta", "inferior_vena_cava", "femur_left", "femur_right", "hip_left",
            "hip_right", "spinal_cord", "gluteus_maximus_left", "gluteus_maximus_right", "autochthon_left",
            "autochthon_right", "iliopsoas_left", "iliopsoas_right", "ribs", "sternum",
        ),
        start=1,
    )
}  # fmt: skip
"""Label of each structure, named as in TotalSegmentator's `total` task; `ribs`, `vertebrae_lumbar` and
`vertebrae_thoracic`, from its terminology, spare the network counting."""

PHASES: dict[str, dict[str, float]] = {
    "unenhanced": {
        "arteries": 42, "veins": 42, "cava": 42, "heart": 42, "myocardium": 46, "liver": 57, "spleen": 48, "cortex": 33,
        "medulla": 30, "pancreas": 40, "bowel": 42, "muscle": 54,
    },
    "arterial": {
        "arteries": 330, "veins": 95, "cava": 75, "heart": 270, "myocardium": 105, "liver": 70, "spleen": 130,
        "cortex": 185, "medulla": 75, "pancreas": 105, "bowel": 95, "muscle": 58,
    },
    "portal venous": {
        "arteries": 165, "veins": 175, "cava": 140, "heart": 155, "myocardium": 115, "liver": 112, "spleen": 122,
        "cortex": 190, "medulla": 160, "pancreas": 95, "bowel": 90, "muscle": 64,
    },
}  # fmt: skip
"""Blood and tissues that take up contrast, by phase."""

AIR, FAT, SKIN, WATER, CORD, DISC = -1000.0, -104.0, 30.0, 5.0, 38.0, 82.0

CORTICAL_BONE = 720.0
