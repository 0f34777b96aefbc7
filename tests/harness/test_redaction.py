"""Passwords and tokens leave text that is kept; ordinary words of programs stay as they are."""

from __future__ import annotations

import pytest

from harness.redaction import REMOVED, redacted

A_TOKEN = "0123456789abcdefABCDEF0123456789abcdef"  # noqa: S105 - of the form only


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("ProxyError: http://user:Sesame@proxy.example.org:3128 refused", "Sesame"),
        (f"cloning https://{A_TOKEN}@example.org/a.git", A_TOKEN),
        (f"401 for hf_{A_TOKEN}", A_TOKEN),
        (f"remote: ghp_{A_TOKEN}", A_TOKEN),
        (f"key sk-{A_TOKEN} is not valid", A_TOKEN),
        ("denied for AKIAABCDEFGHIJKLMNOP", "AKIAABCDEFGHIJKLMNOP"),
        (f"headers: Authorization: Bearer {A_TOKEN}", A_TOKEN),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.s5Q", "eyJzdWIiOiIxMjM0In0"),
        ("DB_PASSWORD=opensesame", "opensesame"),
        ("{'password': 'opensesame', 'user': 'a'}", "opensesame"),
        ("AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI", "wJalrXUtnFEMI"),
        ("api_key: 5f4dcc3b", "5f4dcc3b"),
        ("HF_TOKEN=abc12345xyz", "abc12345xyz"),
        ("-----BEGIN RSA PRIVATE KEY----- MIIEow", "MIIEow"),
    ],
)
def test_a_secret_leaves(text: str, secret: str) -> None:
    """What is recognised is replaced, what stands around it is kept, and a second time changes nothing."""
    left = redacted(text)
    assert secret not in left
    assert REMOVED in left
    assert redacted(left) == left


@pytest.mark.parametrize(
    "text",
    [
        "RuntimeError: mat1 and mat2 shapes cannot be multiplied (77x768 and 512x512)",
        "text cut after 77 tokens: 91 tokens",
        "KeyError: 'token'",
        "unexpected token: whitespace",
        "the container ended with exit code 1; its last line: ValueError: expected shape (2, 24, 20, 16)",
        "see https://example.org/a@b and mail a@example.org",
        "basic block 3 of 4",
        "the key 'secret' is missing",
        "sk-learn 1.5",
    ],
)
def test_ordinary_words_stay(text: str) -> None:
    """What looks like none is left alone."""
    assert redacted(text) == text


def test_what_this_machine_keeps_secret_leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    """A value of the environment with a telling name, and a proxy's password, have no form of their own."""
    monkeypatch.setenv("SITE_LICENCE_TOKEN", "open sesame now")
    monkeypatch.setenv("https_proxy", "http://user:tulip-mania@proxy.example.org")
    monkeypatch.setenv("SHORT_TOKEN", "1")
    assert redacted("said open sesame now, tulip-mania, 1") == f"said {REMOVED}, {REMOVED}, 1"
