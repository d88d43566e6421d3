/** The one per-user data folder: profiles, caches and identities. Named by flag or environment, else as the system has it. */
import { homedir } from 'node:os'
import { join, resolve } from 'node:path'

export function dataDir(
  named: string | undefined,
  env: NodeJS.ProcessEnv = process.env,
  platform: NodeJS.Platform = process.platform,
): string {
  if (named !== undefined && named !== '') return resolve(named)
  if (platform === 'win32') return join(env['LOCALAPPDATA'] ?? join(homedir(), 'AppData', 'Local'), 'tabswarm')
  if (platform === 'darwin') return join(homedir(), 'Library', 'Application Support', 'tabswarm')
  const data = env['XDG_DATA_HOME']
  return join(data === undefined || data === '' ? join(homedir(), '.local', 'share') : data, 'tabswarm')
}
