/** The log of a relay that runs inside a command: its lines go where the command's own do. */
import { createLog, type RelayLog } from '../../relay/log.ts'

/** `format`: the value of --log-format. */
export function relayLog(format: string, write: (line: string) => void): RelayLog {
  return createLog(format === 'json' ? 'json' : 'text', (line) => write(line.trimEnd()))
}
