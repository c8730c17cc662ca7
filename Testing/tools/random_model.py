"""The networks of the published table as trained folders, with random weights: to measure on without a download.

python Testing/tools/random_model.py 297 FOLDER    prints the folder of the model: TotalSegmentator's at 3 mm
python Testing/tools/random_model.py 291 FOLDER    the first part of its 1.5 mm model
python Testing/tools/random_model.py total FOLDER  all five parts of its 1.5 mm model; prints FOLDER
"""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "Testing")]

from support.trained_folders import totalsegmentator_291, totalsegmentator_297, totalsegmentator_total  # noqa: E402

MAKERS = {"297": totalsegmentator_297, "291": totalsegmentator_291, "total": totalsegmentator_total}

if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1] not in MAKERS:
        sys.exit(__doc__)
    folder = Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    print(MAKERS[sys.argv[1]](folder))
