"""Other servers' interfaces over the same jobs, so that their clients work unmodified.

Modules, each may import only those below it:

    openai            `/v1`: OpenAI's audio API
    openai_responses  a transcript in OpenAI's formats
    whisper_asr       `/asr`: whisper-asr-webservice
    whisper_cpp       `/inference`: whisper.cpp's server
    schemas           their forms and responses in the documentation
    openai_request    the form of OpenAI's requests
"""

__all__ = ["openai", "whisper_asr", "whisper_cpp"]
