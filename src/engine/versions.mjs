/**
 * What the engine is made of, pinned: the versions that were tried together and the checksums of their published files.
 *
 * @since 0.1.0
 */

/** Version of `@tensorflow/tfjs-node-gpu` whose JavaScript and C++ sources are used. */
export const tfjsVersion = "4.22.0"

/** Subresource integrity of the `@tensorflow/tfjs-node-gpu` tarball of {@link tfjsVersion}. */
export const tfjsIntegrity = 
  "sha512-p//NN6DGiN4hInUmIkRffaFVMcdTREUMjPyjW04J7OXvB2zBlQimj61eFKSgRrH3f5TnOfKzb0n56he/B6a4bw=="

/** Version of libtensorflow that is downloaded when none is present. */
const tensorflowVersion = "2.21.0"

/** The oldest TensorFlow whose wheel carries `libtensorflow_cc.so.2` with the C API that the binding calls. */
export const oldestTensorflow = [2, 15]

/**
 * One published file of a Python package: what to ask pip for, and what must come back.
 *
 * @typedef {object} PinnedWheel
 * @property {string} project name on the package index
 * @property {string} version exact version
 * @property {string} sha256 lower-case hex digest of the wheel
 */

/**
 * The wheels of one platform: libtensorflow for the CPU, libtensorflow for CUDA, and the libraries the latter loads.
 *
 * @typedef {object} PinnedPlatform
 * @property {ReadonlyArray<string>} pipPlatforms the platform tags given to pip
 * @property {string} pipPython the Python version given to pip; it does not matter to the library inside
 * @property {{ readonly cpu: string, readonly gpu: string }} download sizes of all that is downloaded, for people
 * @property {PinnedWheel} cpu
 * @property {PinnedWheel} gpu
 * @property {ReadonlyArray<PinnedWheel>} companions the `and-cuda` extra of the CUDA wheel
 */

/** @type {Readonly<Record<string, PinnedPlatform>>} */
export const pinnedPlatforms = {
  "linux-x64": {
    pipPlatforms: ["manylinux_2_27_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64"],
    pipPython: "311",
    download: { cpu: "274 MB", gpu: "2.4 GB" },
    cpu: {
      project: "tensorflow-cpu",
      version: tensorflowVersion,
      sha256: "2b847d217b02ee7731ed91431daf3250daa0196c3c94614d23be27232e6e5b6c"
    },
    gpu: { project: "tensorflow", version: tensorflowVersion, sha256: "9056fbc9ba04235810b71ae6cbd958a196e8804fb53bbcffbf3e23b56155f124" },
    companions: [
      { project: "nvidia-cublas-cu12", version: "12.5.3.2", sha256: "ca070ad70e9fa6654084575d01bd001f30cc4665e33d4bb9fc8e0f321caa034b" },
      { project: "nvidia-cuda-cupti-cu12", version: "12.5.82", sha256: "bde77a5feb66752ec61db2adfe47f56b941842825b4c7e2068aff27c9d107953" },
      { project: "nvidia-cuda-nvcc-cu12", version: "12.5.82", sha256: "b03e545b8e8c3ce7ebcd7fc44063180ff52ff01d064ece2127ed90a04ef12cd0" },
      { project: "nvidia-cuda-nvrtc-cu12", version: "12.5.82", sha256: "3dbd97b0104b4bfbc3c4f8c79cd2496307c89c43c29a9f83125f1d76296ff3fd" },
      { project: "nvidia-cuda-runtime-cu12", version: "12.5.82", sha256: "3e79a060e126df40fd3a068f3f787eb000fa51b251ec6cd97d09579632687115" },
      { project: "nvidia-cudnn-cu12", version: "9.3.0.75", sha256: "9ad9c6929ebb5295eb4a1728024666d1c88283373e265a0c5c883e6f9d5cd76d" },
      { project: "nvidia-cufft-cu12", version: "11.2.3.61", sha256: "9a6e8df162585750f61983a638104a48c756aa13f9f48e19ab079b38e3c828b8" },
      { project: "nvidia-curand-cu12", version: "10.3.6.82", sha256: "2823fb27de4e44dbb22394a6adf53aa6e1b013aca0f8c22867d1cfae58405536" },
      { project: "nvidia-cusolver-cu12", version: "11.6.3.83", sha256: "93cfafacde4428b71778eeb092ec615a02a3d05404da1bcf91c53e3fa1bce42b" },
      { project: "nvidia-cusparse-cu12", version: "12.5.1.3", sha256: "016df8e993c437e8301e62739f01775cba988fd5253cd4c64173f8e8d2f8e752" },
      { project: "nvidia-nccl-cu12", version: "2.27.7", sha256: "de5ba5562f08029a19cb1cd659404b18411ed0d6c90ac5f52f30bf99ad5809aa" },
      { project: "nvidia-nvjitlink-cu12", version: "12.5.82", sha256: "f9b37bc5c8cf7509665cb6ada5aaa0ce65618f2332b7d3e78e9790511f111212" }
    ]
  }
}
