/**
 * A process that forwards connections, for use inside a network namespace: `node tcp-pipe.mjs LISTEN=TARGET…`, each an
 * `address:port` or, as a target, the path of a Unix socket. Prints `ready` when all listen, and for each connection what
 * it asks for: the first line of HTTP, `websocket` after it where it becomes one, and who asks.
 */
import { connect, createServer } from 'node:net'

/** @param {string} text */
function endpoint(text) {
  if (text.startsWith('/')) return { path: text }
  const [host = '', port] = text.split(':')
  return { host, port: Number(port) }
}

/** @param {Buffer} chunk */
function describe(chunk) {
  const head = chunk.toString('latin1')
  const agent = /^user-agent: (\S+)/im.exec(head)?.[1] ?? 'nobody'
  return [head.split('\r\n')[0], ...(/^upgrade: websocket/im.test(head) ? ['websocket'] : []), agent].join(' | ')
}

/** @param {string} pair */
function forward(pair) {
  const [from = '', to = ''] = pair.split('=')
  const server = createServer((client) => {
    const target = connect(endpoint(to))
    client.setNoDelay(true)
    target.setNoDelay(true)
    client.once('data', (chunk) => console.log(describe(chunk)))
    client.pipe(target).pipe(client)
    for (const [socket, other] of [
      [client, target],
      [target, client],
    ]) {
      // Whatever ends one side ends the other.
      socket?.on('error', () => other?.destroy())
      socket?.on('close', () => other?.destroy())
    }
  })
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(endpoint(from), () => resolve(undefined))
  })
}

await Promise.all(process.argv.slice(2).map(forward))
console.log('ready')
