"""What a program on waha-py 2026.9.2 gets: one line of JSON per call, the same whether the URL is WAHA's or the sidecar's."""

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
        response = getattr(error, "response", None)
        status = getattr(response, "status_code", None)
        body = getattr(response, "text", None)
        print(json.dumps({"call": name, "error": type(error).__name__, "status": status, "body": body}))


def text(session, words, to=chat):
    return {"session": session, "chatId": to, "text": words, "id": "3EB0AAAAAAAAAAAAAAAAAA"}


client = WahaClient(url, api_key=key)
tell("ping", lambda: client.ping.ping())
tell("session", lambda: client.sessions.get("default"))
tell("no such session", lambda: client.sessions.get("nosuch"))
tell("text", lambda: client.chatting.send_text(text("default", "hola ñ")))
tell("text again", lambda: client.chatting.send_text(text("default", "hola ñ")))
tell("missing session", lambda: client.chatting.send_text(text("nosuch", "x")))
tell("stopped session", lambda: client.chatting.send_text(text("stopped", "x")))
tell("refused", lambda: client.chatting.send_text(text("default", "x", "5511900000463")))
wrong = WahaClient(url, api_key="wrong")
tell("wrong key", lambda: wrong.chatting.send_text(text("default", "x")))
