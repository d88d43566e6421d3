/** A device that counts the bytes of its buffers: what is there now, and the most that was there at once. */
import type { Gpu } from '../../../web/gpu/device.ts'

export class BufferCount {
  #now = 0
  #most = 0
  readonly #undo: () => void

  constructor({ device }: Gpu) {
    const create = device.createBuffer.bind(device)
    device.createBuffer = (descriptor) => {
      const buffer = create(descriptor)
      this.#now += buffer.size
      this.#most = Math.max(this.#most, this.#now)
      const destroy = buffer.destroy.bind(buffer)
      let isThere = true
      buffer.destroy = () => {
        if (isThere) this.#now -= buffer.size
        isThere = false
        return destroy()
      }
      return buffer
    }
    this.#undo = () => {
      device.createBuffer = create
    }
  }

  get now(): number {
    return this.#now
  }

  /** Since the last call. */
  takeMost(): number {
    const most = this.#most
    this.#most = this.#now
    return most
  }

  stop(): void {
    this.#undo()
  }
}
