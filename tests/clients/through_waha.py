"""What a program on waha 1.0.5 gets: one line of JSON per call, the same whether the URL is WAHA's or the sidecar's."""

import json
import sys

from waha import WahaClient

url, key, chat = sys.argv[1:4]


def tell(name, call):
    try:
        answer = call()
        if hasattr(answer, "model_dump"):
            answer = answer.model_dump(mode="json")
        print(json.dumps({"call": name, "answer": answer}, default=str, sort_keys=True))
    except Exception as error:  # whatever a caller may see
        print(json.dumps({"call": name, "error": type(error).__name__, "says": str(error)}))


client = WahaClient(base_url=url, api_key=key)
tell("session", lambda: client.sessions.get("default"))
tell("no such session", lambda: client.sessions.get("nosuch"))
# This one cannot read WAHA's answer to a good send; it must fail in the very same way.
tell("text", lambda: client.messages.send_text(chat_id=chat, text="hola ñ", session="default"))
tell("missing session", lambda: client.messages.send_text(chat_id=chat, text="x", session="nosuch"))
tell("stopped session", lambda: client.messages.send_text(chat_id=chat, text="x", session="stopped"))
tell("refused", lambda: client.messages.send_text(chat_id="5511900000463", text="x", session="default"))
wrong = WahaClient(base_url=url, api_key="wrong")
tell("wrong key", lambda: wrong.messages.send_text(chat_id=chat, text="x", session="default"))
