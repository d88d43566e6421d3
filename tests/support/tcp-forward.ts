/** A TCP forwarder on loopback: the router that maps a public port to a server's own, a wire that can be cut, a long way. */
import { connect, createServer, type ListenOptions, type Server, type Socket } from 'node:net'
import { setTimeout as wait } from 'node:timers/promises'

export interface TcpForward {
  /** 0 on a Unix socket. */
  readonly port: number
  /** Destroys what is open and refuses what comes, until `mend`. */
  cut(): void
  mend(): void
  stop(): Promise<void>
}

export async function startTcpForward(options: {
  port?: number
  host?: string
  /** A Unix socket to listen on in place of a port: reached from other network namespaces too. */
  path?: string
  toPort: number
  toHost?: string
  /** One way. */
  delayMs?: number
}): Promise<TcpForward> {
  const open = new Set<Socket>()
  let isCut = false
  const server = createServer((client) => {
    if (isCut) {
      client.destroy()
      return
    }
    const target = connect({ port: options.toPort, host: options.toHost ?? '127.0.0.1' })
    for (const [socket, other] of [
      [client, target],
      [target, client],
    ] as const) {
      open.add(socket)
      socket.setNoDelay(true)
      forward(socket, other, options.delayMs ?? 0)
      // Either end may be killed by the test; the other end then has to see it.
      socket.on('error', () => other.destroy())
      socket.on('close', () => {
        open.delete(socket)
        other.destroy()
      })
    }
  })
  const { path, port = 0, host = '127.0.0.1' } = options
  await listen(server, path === undefined ? { port, host } : { path })
  const address = server.address()
  const destroyAll = (): void => open.forEach((socket) => socket.destroy())
  return {
    port: address === null || typeof address === 'string' ? 0 : address.port,
    cut() {
      isCut = true
      destroyAll()
    },
    mend() {
      isCut = false
    },
    async stop() {
      destroyAll()
      await new Promise<void>((resolve) => server.close(() => resolve()))
    },
  }
}

/** The guide's public ports lie among those that systems give to outgoing connections, which hold one for a minute after their end. */
const PORT_TRIES = 90
const PORT_WAIT_MS = 1000

async function listen(server: Server, where: ListenOptions): Promise<void> {
  for (let tries = 1; ; tries += 1) {
    try {
      await new Promise<void>((resolve, reject) => {
        server.once('error', reject)
        server.listen(where, () => {
          server.off('error', reject)
          resolve()
        })
      })
      return
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE' || tries === PORT_TRIES) throw error
      await wait(PORT_WAIT_MS)
    }
  }
}

function forward(from: Socket, to: Socket, delayMs: number): void {
  if (delayMs === 0) {
    from.pipe(to)
    return
  }
  from.on('data', (chunk) => {
    setTimeout(() => {
      if (to.writable) to.write(chunk)
    }, delayMs)
  })
}
