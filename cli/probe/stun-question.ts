/** Asks a STUN server which address it sees, as a tab does. */
import { randomBytes } from 'node:crypto'
import { createSocket } from 'node:dgram'

const ANSWER_MS = 1_500
const TRIES = 3
const COOKIE = 0x2112a442

/** `stun:host:port`. @returns whether a success response to our own request came */
export async function askStun(url: string): Promise<boolean> {
  const match = /^stuns?:(?:\[([^\]]+)\]|([^:]+))(?::(\d+))?$/u.exec(url)
  const host = match?.[1] ?? match?.[2]
  if (host === undefined) return false
  const transactionId = randomBytes(12)
  const head = Buffer.alloc(8)
  head.writeUInt16BE(0x0001, 0)
  head.writeUInt32BE(COOKIE, 4)
  const request = Buffer.concat([head, transactionId])
  const socket = createSocket(match?.[1] === undefined ? 'udp4' : 'udp6')
  try {
    return await new Promise<boolean>((resolve) => {
      let tries = 0
      const send = (): void => {
        tries += 1
        if (tries > TRIES) resolve(false)
        else socket.send(request, Number(match?.[3] ?? 3478), host, (error) => error !== null && resolve(false))
      }
      const timer = setInterval(send, ANSWER_MS)
      socket.once('close', () => clearInterval(timer))
      socket.on('error', () => resolve(false))
      socket.on('message', (answer) => {
        if (answer.length >= 20 && answer.readUInt16BE(0) === 0x0101 && answer.subarray(8, 20).equals(transactionId)) {
          resolve(true)
        }
      })
      send()
    })
  } finally {
    socket.close()
  }
}
