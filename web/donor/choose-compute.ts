/** What a tab computes with, of what was asked for and what is there. */
import type { BackendChoice, BackendReason } from '../../swarm/backend.ts'
import { SwarmError } from '../../swarm/errors.ts'
import type { AdapterKind } from '../gpu/device.ts'

export interface ComputeOpeners<Compute> {
  /** @throws SwarmError NO_WEBGPU, NO_ADAPTER, INSECURE_CONTEXT */
  gpu: (adapter: AdapterKind, reason: BackendReason) => Promise<Compute>
  wasm: (reason: BackendReason) => Promise<Compute>
}

/** @throws SwarmError NO_WEBGPU, NO_ADAPTER where WebGPU was asked for; INSECURE_CONTEXT, because such a page may do nothing at all */
export async function chooseCompute<Compute>(
  choice: BackendChoice,
  { gpu, wasm }: ComputeOpeners<Compute>,
): Promise<Compute> {
  switch (choice) {
    case 'wasm':
      return await wasm('asked')
    case 'software':
      return await gpu('software', 'asked')
    case 'webgpu':
      return await gpu('any', 'asked')
    case 'auto':
      try {
        return await gpu('real', 'gpu')
      } catch (error) {
        return await wasm(reasonAgainstGpu(error))
      }
    default:
      return choice satisfies never
  }
}

function reasonAgainstGpu(error: unknown): BackendReason {
  if (!(error instanceof SwarmError)) throw error
  if (error.code === 'NO_WEBGPU') return 'no-webgpu'
  if (error.code !== 'NO_ADAPTER') throw error
  const { adapter } = error.details
  if (adapter === 'software') return 'software-adapter'
  return adapter === 'no-device' ? 'no-device' : 'no-adapter'
}
