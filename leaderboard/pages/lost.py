"""The page for what does not exist: a host serves it for any address, so that no relative link of it would lead on."""

from __future__ import annotations

import base64
import hashlib
from typing import Final

#: Its look, which stands in the page itself.
STYLE: Final = (
    ":root{color-scheme:light dark}"
    "body{margin:0 auto;max-width:40rem;padding:3rem 1.5rem;font:1rem/1.55 system-ui,sans-serif;"
    "background:light-dark(#fff,#11161b);color:light-dark(#16202a,#e7ecf0)}"
    "a{color:light-dark(#0a5a8a,#7cc0ea)}"
)

#: Looks for the front page, whatever was asked for: the nearest folder above with a site in it.
SCRIPT: Final = (
    "(function(){var link=document.getElementById('front'),path=location.pathname;"
    "if(location.protocol==='file:'||link.getAttribute('href')!=='index.html')return;"
    "(function up(){path=path.replace(/[^/]*\\/?$/,'');if(!path)return;"
    "fetch(path+'build.json',{method:'HEAD'}).then(function(answer){"
    "if(answer.ok)link.setAttribute('href',path+'index.html');else up();});})();})();"
)


def digest(text: str) -> str:
    """Return the source expression by which a content security policy allows an inline style or script."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
