"""What paramiko leaves to whoever uses a channel from two threads."""

from __future__ import annotations

import threading

import paramiko
from paramiko.common import cMSG_CHANNEL_CLOSE, cMSG_CHANNEL_EOF

from harness.remote.transport import end_input


def test_the_end_of_the_input_is_never_said_behind_the_end_of_the_channel() -> None:
    sent: list[bytes] = []

    class Transport:
        active = True

        def get_log_channel(self) -> str:
            return "paramiko"

        def _send_user_message(self, message: paramiko.Message) -> None:
            kind = message.asbytes()[:1]
            if kind == cMSG_CHANNEL_EOF and not answer.is_alive():
                answer.start()  # the host ends the channel in the very moment
                answer.join(0.2)
            sent.append(kind)

        def _unlink_channel(self, number: int) -> None: ...

    channel = paramiko.Channel(1)
    channel._set_transport(Transport())  # type: ignore[attr-defined]
    channel.remote_chanid, channel.active = 7, True
    answer = threading.Thread(target=channel._handle_close, args=[paramiko.Message()])  # type: ignore[attr-defined]
    end_input(channel)
    answer.join()
    assert sent == [cMSG_CHANNEL_EOF, cMSG_CHANNEL_CLOSE]
    end_input(channel)
    assert len(sent) == 2
