"""Netmiko's driver for devices that it does not know."""
import os

from netmiko import ConnectHandler

device = ConnectHandler(
    device_type="terminal_server",
    host=os.environ["ESA_HOST"],
    port=int(os.environ["ESA_PORT"]),
    username="ann",
    password=os.environ["ESA_PASS"],
    timeout=60,
    global_delay_factor=0.5,
)
prompt = device.find_prompt()
assert prompt == "mail.example.com>", prompt
out = device.send_command("version", expect_string=r"mail\.example\.com>")
assert "Version: " in out, out
out = device.send_command_timing("smtproutes")
assert "Choose the operation" in out, out
device.send_command_timing("new")
device.send_command_timing("netmiko.test")
out = device.send_command_timing("netmiko.example.com")
for _ in range(5):
    if device.find_prompt() == "mail.example.com>":
        break
out = device.send_command("showchanges", expect_string=r"mail\.example\.com>")
assert "netmiko.test" in out, out
out = device.send_command('commit "by netmiko" Y', expect_string=r"mail\.example\.com>")
assert "Changes committed: " in out, out
device.disconnect()
print("THE SCRIPT IS THROUGH")
