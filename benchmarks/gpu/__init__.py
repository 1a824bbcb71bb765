"""Everything that has to be seen on a GPU, in one run of less than eight minutes: `python -m benchmarks.gpu`.

It needs no network and downloads nothing: the models are the bundled one and random weights in the shapes of Whisper's
large models. Each stage runs in a process of its own with a time limit, so that a crash or a hang of the device ends
only that stage. Results are written after every stage. Without a GPU all stages run at small sizes on the CPU.

Modules, each uses only those below it:

    __main__      the command: all stages, or one of them in its own process
    stages        the stages, their order and their limits
    runner        runs the stages one after the other
    device        the machine, the driver, the libraries, `scrivano doctor`
    words         the bundled model's words on the device and on the CPU
    lifecycle     the server: load, job, cancel, lack of memory, unload
    sweep         encoder and search of one shape at many batch sizes
    served        long recordings and clips through the server, and faster-whisper beside it
    preparation   the rate at which recordings are prepared
    detection     the small ONNX networks on the CPU and on CUDA
    holder        a process that holds the memory of the device
    check         what a stage gets: sizes, device, folders, deadline
    results       rows, outcomes, JSON and Markdown
"""
