"""What the TuckerSeg module is made of; `TuckerSeg.py` beside this folder only puts it together."""
