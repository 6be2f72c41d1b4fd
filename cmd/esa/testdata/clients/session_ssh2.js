// ssh2 of npm: exec, shell and SFTP on one connection.
'use strict';
const { Client } = require('ssh2');
const fs = require('fs');
const assert = require('assert');

const later = (call) => new Promise((done, fail) => call((err, value) => (err ? fail(err) : done(value))));

async function execute(client, line) {
  const stream = await later((cb) => client.exec(line, cb));
  let out = '', err = '';
  stream.on('data', (d) => { out += d; });
  stream.stderr.on('data', (d) => { err += d; });
  const status = await new Promise((done) => stream.on('close', done));
  return { out, err, status };
}

async function type(client) {
  const stream = await later((cb) => client.shell({ rows: 16777215, cols: 200, term: 'vt100' }, cb));
  let screen = '';
  const lines = ['version', 'nosuchword', 'exit'];
  stream.on('data', (d) => {
    screen += d;
    if (screen.endsWith('mail.example.com> ') && lines.length) stream.write(lines.shift() + '\n');
  });
  await new Promise((done) => stream.on('close', done));
  return screen;
}

async function transfer(client) {
  const sftp = await later((cb) => client.sftp(cb));
  const content = Buffer.alloc(1 << 20, 'ssh2\n');
  fs.writeFileSync('sent.bin', content);
  await later((cb) => sftp.fastPut('sent.bin', '/configuration/ssh2.bin', cb));
  await later((cb) => sftp.fastGet('/configuration/ssh2.bin', 'back.bin', cb));
  assert(fs.readFileSync('back.bin').equals(content));
  const names = (await later((cb) => sftp.readdir('configuration', cb))).map((f) => f.filename);
  assert.deepStrictEqual(names, ['ssh2.bin']);
  await assert.rejects(later((cb) => sftp.readFile('/config.db', cb)));
  await assert.rejects(later((cb) => sftp.writeFile('/logs/x', 'x', cb)));
  await later((cb) => sftp.unlink('/configuration/ssh2.bin', cb));
  sftp.end();
}

async function main(how) {
  const client = new Client();
  await new Promise((done, fail) => client.on('ready', done).on('error', fail).connect(
    { host: process.env.ESA_HOST, port: +process.env.ESA_PORT, username: 'ann', ...how }));
  const together = await Promise.all([...Array(10)].map(() => execute(client, 'version; whoami')));
  for (const { out, err, status } of together) {
    assert(out.includes('Version: ') && out.includes('Username: ann'), out);
    assert.strictEqual(err, '');
    assert.strictEqual(status, 0);
  }
  assert.strictEqual((await execute(client, 'nosuchword')).status, 1);
  const screen = await type(client);
  assert(screen.includes('Version: ') && screen.includes('Unknown command or missing feature key: nosuchword'), screen);
  await transfer(client);
  client.end();
}

main({ password: process.env.ESA_PASS })
  .then(() => main({ privateKey: fs.readFileSync(process.env.ESA_KEY) }))
  .then(() => console.log('THE SCRIPT IS THROUGH'))
  .catch((err) => { console.error(err); process.exit(1); });
