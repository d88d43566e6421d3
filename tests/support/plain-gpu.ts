/** A browser that gives a device with WebGPU's default limits and no optional feature, whatever its adapter lists and is asked for. */
import { openGpu, type Gpu } from '../../web/gpu/device.ts'

export async function openPlainGpu(): Promise<Gpu> {
  const prototype = GPUAdapter.prototype as { requestDevice: GPUAdapter['requestDevice'] }
  const request = prototype.requestDevice
  prototype.requestDevice = function (this: GPUAdapter, descriptor) {
    return request.call(this, { ...descriptor, requiredLimits: {}, requiredFeatures: [] })
  }
  try {
    return await openGpu({ adapter: 'any' })
  } finally {
    prototype.requestDevice = request
  }
}
