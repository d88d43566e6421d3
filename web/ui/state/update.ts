/**
 * The offer to reload after an update of the page: looked for when the tab is seen again and when a relay is back, shown
 * until it is answered. `later` is good for this build; a still newer one is offered again.
 */
import { computed, effect, signal, type ReadonlySignal } from '@preact/signals'
import type { UpdatePort } from './ports.ts'
import type { SwarmState } from './swarm.ts'

export interface UpdateState {
  readonly isOffered: ReadonlySignal<boolean>
  later(): void
  reload(): void
}

export interface UpdateOptions {
  port: UpdatePort
  swarm: SwarmState
  /** Calls back whenever the tab becomes visible. */
  onVisible: (listener: () => void) => void
  reload: () => void
}

export function createUpdate({ port, swarm, onVisible, reload }: UpdateOptions): UpdateState {
  const found = signal<string | null>(null)
  const declined = signal<string | null>(null)
  const look = async (): Promise<void> => {
    found.value = await port.look()
  }
  onVisible(() => void look())
  let before: ReadonlyMap<string, string> = new Map()
  effect(() => {
    const now = new Map(swarm.snapshot.value.relays.map(({ address, state }) => [address, state]))
    // A relay of another version takes nobody in: the page that came with it is new as well.
    const isBack = [...now].some(
      ([address, state]) => ['connected', 'refused'].includes(state) && isAway(before.get(address)),
    )
    before = now
    if (isBack) void look()
  })
  return {
    isOffered: computed(() => found.value !== null && found.value !== declined.value),
    later() {
      declined.value = found.peek()
    },
    reload,
  }
}

function isAway(state: string | undefined): boolean {
  return state === 'lost' || state === 'restarting'
}
