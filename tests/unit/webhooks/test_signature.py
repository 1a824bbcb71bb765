from __future__ import annotations

import base64
from datetime import UTC, datetime

from standardwebhooks import Webhook

from scrivano.webhooks.signature import signature_headers

NOW = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)


def test_our_signature_equals_the_official_one() -> None:
    key, body = b"k" * 24, '{"è": 1}'

    headers = signature_headers("msg_1", NOW, body.encode(), [key])

    assert headers["webhook-signature"] == Webhook("whsec_" + base64.b64encode(key).decode()).sign("msg_1", NOW, body)
    assert signature_headers("msg_1", NOW, b"", []) == {}
