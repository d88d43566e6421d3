/** One sentence, in every view, while no relay lets this page into the swarm, or one that announced its restart is away. */
import { useSignal } from '@preact/signals'
import { useEffect } from 'preact/hooks'
import { useServices, useTexts } from '../services.ts'
import type { Messages } from '../i18n/en.ts'
import { relayTrouble, type RelayTrouble } from '../state/swarm.ts'

/** A relay that is back within this time is not worth a sentence. */
const PATIENCE_MS = 3_000

export function RelayNotice() {
  const { swarm } = useServices()
  const text = useTexts().messages.swarm
  const trouble = relayTrouble(swarm.snapshot.value)
  const mayPass = trouble?.kind === 'lost' || trouble?.kind === 'link-lost'
  const isLasting = useLasting(mayPass)
  const isShown = trouble !== null && (!mayPass || isLasting)
  return (
    <div role="status">
      {isShown && (
        <p class="note relay-notice" data-trouble={trouble.kind}>
          {sentence(text, trouble)}
        </p>
      )}
    </div>
  )
}

function sentence(text: Messages['swarm'], trouble: RelayTrouble): string {
  switch (trouble.kind) {
    case 'restarting':
      return text.restarts(trouble.backAfterMs === null ? null : Math.ceil(trouble.backAfterMs / 1_000))
    case 'version':
      return text.otherVersion
    case 'other-relay':
      return text.otherRelay
    case 'refused':
      return text.refuses(trouble.reason)
    case 'lost':
      return text.unreachable
    case 'link-lost':
      return text.linkUnreachable
  }
}

/** Whether `condition` has held for PATIENCE_MS. */
function useLasting(condition: boolean): boolean {
  const lasting = useSignal(false)
  useEffect(() => {
    lasting.value = false
    if (!condition) return undefined
    const timer = setTimeout(() => {
      lasting.value = true
    }, PATIENCE_MS)
    return () => clearTimeout(timer)
  }, [condition, lasting])
  return condition && lasting.value
}
