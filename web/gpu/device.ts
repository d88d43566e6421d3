/**
 * Opens the GPU: the only file that touches `navigator.gpu`. Works in a page and in a dedicated Worker. What the adapter can do
 * is asked for in full, so that limits are the adapter's and not the standard's minimum.
 */
import { SwarmError, describeError } from '../../swarm/errors.ts'

/** `any`: a GPU where there is one, else the software adapter. */
export type AdapterKind = 'any' | 'real' | 'software'

export interface Gpu {
  readonly device: GPUDevice
  /** For people and as a key for measured speeds: vendor, architecture and name, as far as the browser tells. */
  readonly description: string
  /** A software adapter: ten to a thousand times slower than a GPU, kernels without barriers are picked. */
  readonly software: boolean
  /** Every subgroup has exactly four lanes, and kernels may let them exchange values. */
  readonly quads: boolean
  /** That the adapter has, asked for or not: part of what an adapter is known by. */
  readonly features: readonly string[]
  readonly limits: GPUSupportedLimits
  /** Resolves with the reason once the device is lost or destroyed; never rejects. */
  readonly lost: Promise<string>
}

/**
 * @throws SwarmError INSECURE_CONTEXT, NO_WEBGPU, NO_ADAPTER; details of the last say what is missing: `adapter` is `software` where
 * only that one answered and a GPU was wanted, `none` where none did, `no-device` where one answered and could not be opened
 */
export async function openGpu(options: { adapter: AdapterKind }): Promise<Gpu> {
  const adapter = await requestAdapter(options.adapter)
  const { info, limits } = adapter
  const software = isSoftware(info)
  if (options.adapter === 'real' && software) {
    throw new SwarmError(
      'NO_ADAPTER',
      `WebGPU offers only a software adapter (${describe(info)}), and a GPU was asked for`,
      {
        action: 'Open the page in a browser that sees the GPU.',
        details: { adapter: 'software' },
      },
    )
  }
  const areQuads = info.subgroupMinSize === 4 && info.subgroupMaxSize === 4
  let device: GPUDevice
  try {
    device = await adapter.requestDevice({
      label: 'tabswarm',
      requiredFeatures: areQuads && adapter.features.has('subgroups') ? ['subgroups'] : [],
      requiredLimits: {
        maxBufferSize: limits.maxBufferSize,
        maxStorageBufferBindingSize: limits.maxStorageBufferBindingSize,
      },
    })
  } catch (error) {
    throw new SwarmError('NO_ADAPTER', `the adapter ${describe(info)} gave no device: ${describeError(error)}`, {
      action: 'Close other pages that use the GPU, or restart the browser.',
      details: { adapter: 'no-device' },
      cause: error,
    })
  }
  return {
    device,
    description: describe(info),
    software,
    // What the device has: kernels are chosen by it.
    quads: areQuads && device.features.has('subgroups'),
    features: [...adapter.features],
    limits: device.limits,
    lost: device.lost.then((loss) => `${loss.reason}: ${loss.message}`),
  }
}

async function requestAdapter(kind: AdapterKind): Promise<GPUAdapter> {
  if (globalThis.isSecureContext === false) {
    throw new SwarmError('INSECURE_CONTEXT', 'this page was opened over plain http, where browsers offer no WebGPU', {
      action: 'Open the page over https, or from the same machine as http://localhost.',
    })
  }
  const gpu = (globalThis.navigator as { gpu?: GPU } | undefined)?.gpu
  if (gpu === undefined) {
    throw new SwarmError('NO_WEBGPU', 'this browser has no WebGPU', {
      action: 'Use a current Chrome, Edge, Firefox or Safari; prompting works without it.',
    })
  }
  const adapter = await gpu.requestAdapter(
    kind === 'software' ? { forceFallbackAdapter: true } : { powerPreference: 'high-performance' },
  )
  if (adapter === null) {
    throw new SwarmError('NO_ADAPTER', 'the browser has WebGPU but offers no adapter', {
      action:
        'Turn hardware acceleration on, update the graphics driver, or let the tab compute without a GPU (backend auto).',
      details: { adapter: 'none' },
    })
  }
  return adapter
}

function isSoftware(info: GPUAdapterInfo): boolean {
  // isFallbackAdapter came to Chromium after the name did; llvmpipe (Mesa) is never marked as a fallback.
  return (
    info.isFallbackAdapter === true ||
    /swiftshader|llvmpipe|basic render/i.test(`${info.architecture} ${info.description}`)
  )
}

function describe(info: GPUAdapterInfo): string {
  const words = [info.vendor, info.architecture, info.device, info.description].filter((word) => word !== '')
  return words.length === 0 ? 'unnamed adapter' : [...new Set(words)].join(' ')
}
