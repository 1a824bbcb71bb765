"""Other servers' protocols, so that their clients work without changes. Each request becomes an ordinary job.

Modules, each may import only those below it:

    openai            `/v1`: OpenAI's audio API
    openai_responses  a transcript in OpenAI's formats
    whisper_asr       `/asr`: whisper-asr-webservice
    whisper_cpp       `/inference`: whisper.cpp's server
    schemas           forms and JSON bodies of these protocols
    openai_request    parse the forms of OpenAI's API
    known_speakers    speakers whose voices come with such a form
"""

__all__ = ["openai", "whisper_asr", "whisper_cpp"]
