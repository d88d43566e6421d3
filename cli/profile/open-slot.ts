/** The profile slot of a command that opens donor tabs: taken before anything else, emptied when asked, given back at the end. */
import type { Lifecycle } from '../lifecycle.ts'
import { dataDir } from './data-dir.ts'
import { forget, takeSlot, type Slot } from './slots.ts'

/** Values of --data-dir, --slot and --fresh. @throws SwarmError SLOT_TAKEN */
export function openSlot(
  values: { dataDir: string | undefined; slot: number | undefined; fresh: boolean },
  lifecycle: Lifecycle,
): Slot {
  const slot = takeSlot(dataDir(values.dataDir), values.slot)
  lifecycle.onClose('profile slot', () => slot.release())
  if (values.fresh) forget(slot)
  return slot
}
