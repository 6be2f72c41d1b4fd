"""Paramiko: exec, shell with LF for Enter, SFTP, and scp of the library on it."""
import io
import os
import time

import paramiko
from scp import SCPClient

HOST, PORT = os.environ["ESA_HOST"], int(os.environ["ESA_PORT"])


def connect(**how):
    client = paramiko.SSHClient()
    client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
    client.connect(HOST, PORT, "ann", allow_agent=False, look_for_keys=False, timeout=60, **how)
    return client


def execute(client, line, want):
    _, out, err = client.exec_command(line, timeout=60)
    text, told, status = out.read().decode(), err.read().decode(), out.channel.recv_exit_status()
    assert status == want, (line, status, text)
    assert told == "", told
    assert "\r" not in text, text
    return text


def read_until(shell, end):
    text, last = "", time.time() + 60
    while not text.endswith(end):
        assert time.time() < last, text
        if shell.recv_ready() or not shell.closed:
            piece = shell.recv(65536).decode()
            assert piece, text
            text += piece
    return text


try:
    connect(password="wrong")
    raise AssertionError("a wrong passphrase was accepted")
except paramiko.AuthenticationException:
    pass

for how in ({"password": os.environ["ESA_PASS"]}, {"key_filename": os.environ["ESA_KEY"]}):
    client = connect(**how)
    assert "Version: " in execute(client, "version; whoami", 0)
    assert "Unknown command or missing feature key: nosuchword" in execute(client, "nosuchword", 1)

    shell = client.invoke_shell(width=200, height=16777215)
    prompt = "\r\nmail.example.com> "
    assert "Welcome" in read_until(shell, prompt)
    shell.send("help\n")
    listed = read_until(shell, prompt)
    assert "workqueue" in listed and "Press Any Key" not in listed, listed
    shell.send("exit\n")
    assert shell.recv_exit_status() == 0

    sftp = client.open_sftp()
    sftp.chdir("/configuration")
    content = os.urandom(1 << 20)
    sftp.putfo(io.BytesIO(content), "paramiko.bin")
    assert sftp.listdir() == ["paramiko.bin"], sftp.listdir()
    back = io.BytesIO()
    sftp.getfo("paramiko.bin", back)
    assert back.getvalue() == content
    with sftp.open("paramiko.bin", "r+") as f:
        f.seek(3)
        f.write(b"here")
    with sftp.open("/configuration/paramiko.bin") as f:
        assert f.read(8) == content[:3] + b"here" + content[7:8]
    sftp.posix_rename("paramiko.bin", "renamed.bin")
    for refused in (lambda: sftp.open("/etc/passwd"), lambda: sftp.open("/logs/x", "w"), lambda: sftp.mkdir("d")):
        try:
            refused()
            raise AssertionError("this was not refused")
        except IOError:
            pass
    with SCPClient(client.get_transport()) as scp:
        scp.putfo(io.BytesIO(content), "/configuration/by scp.bin")
        scp.get("/configuration/by scp.bin", "back.bin", preserve_times=True)
        scp.get("/logs", ".", recursive=True)
    assert open("back.bin", "rb").read() == content
    assert os.path.exists("logs/mail_logs/mail.current")
    for name in sftp.listdir("/configuration"):
        sftp.remove("/configuration/" + name)
    sftp.close()
    client.close()
print("THE SCRIPT IS THROUGH")
