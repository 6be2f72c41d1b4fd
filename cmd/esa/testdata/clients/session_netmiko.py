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
device.read_until_pattern(pattern=r"mail\.example\.com> ")
prompt = device.find_prompt()
assert prompt == "mail.example.com>", prompt
# A prompt that was asked for twice may still be on its way: what is awaited
# names the answer, too.
out = device.send_command("version", expect_string=r"Version: [\s\S]*mail\.example\.com>")
assert "Version: " in out, out
out = device.send_command("smtproutes", expect_string=r"\[\]>")
assert "Choose the operation" in out, out
device.send_command_timing("new")
device.send_command_timing("netmiko.test")
device.send_command_timing("netmiko.example.com")
for _ in range(5):
    if device.find_prompt() == "mail.example.com>":
        break
out = device.send_command("showchanges", expect_string=r"netmiko\.test[\s\S]*mail\.example\.com>")
assert "netmiko.test" in out, out
out = device.send_command('commit "by netmiko" Y', expect_string=r"Changes committed: [\s\S]*mail\.example\.com>")
assert "Changes committed: " in out, out
device.disconnect()
print("THE SCRIPT IS THROUGH")
