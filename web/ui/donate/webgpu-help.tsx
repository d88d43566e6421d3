/**
 * What to do where WebGPU is missing. That it is missing is found by asking for it, never by the agent string; the string
 * only picks which advice stands first.
 */
import { useServices, useTexts } from '../services.ts'

type Advice = 'chrome' | 'chromeLinux' | 'firefox' | 'safari' | 'other'

export function adviceFor(userAgent: string): Advice {
  if (/Firefox\//.test(userAgent)) return 'firefox'
  if (/Chrom(e|ium)\/|CriOS\//.test(userAgent)) {
    return /Linux/.test(userAgent) && !/Android/.test(userAgent) ? 'chromeLinux' : 'chrome'
  }
  return /Safari\//.test(userAgent) ? 'safari' : 'other'
}

export function WebGpuHelp() {
  const { environment, navigation } = useServices()
  const { donate } = useTexts().messages
  return (
    <div class="note note-warn">
      <div class="note-body">
        <h2>{donate.noWebgpuTitle}</h2>
        <p>{donate.help[adviceFor(environment.userAgent)]}</p>
        <p>{donate.canDoWithout}</p>
        <p>{donate.canPrompt}</p>
        <button type="button" class="button" onClick={() => navigation.go('chat')}>
          {donate.toChat}
        </button>
      </div>
    </div>
  )
}
