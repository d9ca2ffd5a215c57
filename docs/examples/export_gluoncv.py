"""Export a network of GluonCV to ONNX: the pose of a person, as a heat map for each of 17 joints."""

import sys

import numpy as np

import export  # before GluonCV, which cannot import MXNet on a current NumPy by itself
from zoo.runtime import mx

try:
    from gluoncv.model_zoo import get_model
except ImportError as error:
    print(f"this example needs GluonCV: pip install --no-deps gluoncv==0.10.5 && pip install portalocker ({error})")
    sys.exit()

net = get_model("mobile_pose_resnet18_v1b", pretrained_base=False)
net.initialize(mx.init.MSRAPrelu())  # with weights of your own: net.load_parameters("pose.params")
images = np.random.default_rng(0).random((10, 3, 256, 192), np.float32)
net(mx.nd.array(images[:1]))  # after which all shapes are known

export.to_onnx(net, "pose.onnx", input_shape=(3, 256, 192))
print(export.verify("pose.onnx", net, images, seconds=1))  # in every installed runtime
