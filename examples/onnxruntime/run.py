"""Prints the tokens behind some ids, and how long a pass took: run.py LIBRARY MODEL.onnx ID..."""

import sys

import numpy as np
import onnxruntime

options = onnxruntime.SessionOptions()
options.register_custom_ops_library(sys.argv[1])
# Threads of ONNX Runtime that spin take the cores from gsic's.
options.add_session_config_entry("session.intra_op.allow_spinning", "0")
session = onnxruntime.InferenceSession(sys.argv[2], options)
ids = [int(text) for text in sys.argv[3:]]
for _ in range(20):
    (logits,) = session.run(None, {"ids": np.array([ids])})
    ids.append(int(logits[0, -1].argmax()))
print(*ids)
