"""Segment, correct, fine-tune: a scan comes in, and the next mask is better.

>>> volume = io.read("scan.nii.gz")                            # a scan, in mm
>>> segmenter = models.load("model.safetensors")               # a network and its recipe
>>> prediction = finish(predict(volume, segmenter))            # a mask on the scan's own grid
>>> layers.show(viewer, prediction.mask)                       # a person corrects it
>>> example = Example(volume, corrected_mask, confirmed)       # what the person vouches for
>>> outcome = finish(fine_tune(segmenter, [example], FineTuneConfig()))
>>> segmenter = outcome.segmenter                              # the new one if it passed the gate
"""

__version__ = "0.1.0"
