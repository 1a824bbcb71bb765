"""Run a program that is killed when it looks up a name: `python offline.py PROGRAM ARGUMENT …`.

A seccomp filter, which children inherit, kills a process that opens an internet datagram socket: every look-up of a
name needs one. Connections to addresses that need no look-up, such as the loopback, work.
Exit code 77: this system has no such filters.
"""

import ctypes
import os
import platform
import socket
import struct
import sys

PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
LOAD, JUMP_IF_EQUAL, AND, RETURN = 0x20, 0x15, 0x54, 0x06
KILL_PROCESS, ALLOW = 0x80000000, 0x7FFF0000
NUMBER, FIRST_ARGUMENT, SECOND_ARGUMENT = 0, 16, 24  # of struct seccomp_data
SOCKET = {"x86_64": 41, "aarch64": 198}
UNSUPPORTED = 77


class Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_void_p))


def rule(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("HBBI", code, if_true, if_false, value)


def guard() -> None:
    number = SOCKET.get(platform.machine())
    if sys.platform != "linux" or number is None:
        sys.exit(UNSUPPORTED)
    rules = (
        rule(LOAD, NUMBER),
        rule(JUMP_IF_EQUAL, number, 0, 7),
        rule(LOAD, FIRST_ARGUMENT),
        rule(JUMP_IF_EQUAL, socket.AF_INET, 1, 0),
        rule(JUMP_IF_EQUAL, socket.AF_INET6, 0, 4),
        rule(LOAD, SECOND_ARGUMENT),
        rule(AND, 0xF),
        rule(JUMP_IF_EQUAL, socket.SOCK_DGRAM, 0, 1),
        rule(RETURN, KILL_PROCESS),
        rule(RETURN, ALLOW),
    )
    buffer = ctypes.create_string_buffer(b"".join(rules))
    program = Program(len(rules), ctypes.cast(buffer, ctypes.c_void_p))
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    if prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or prctl(
        PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0
    ):
        sys.exit(UNSUPPORTED)


guard()
os.execvp(sys.argv[1], sys.argv[1:])
