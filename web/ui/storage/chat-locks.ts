/** Web Locks: one tab writes in a chat at a time, and a lock ends with its tab, however it ends. */
import type { ChatLocks } from '../state/ports.ts'

const PREFIX = 'tabswarm-chat-'

export function createChatLocks(manager: LockManager): ChatLocks {
  return {
    take: (chatId) =>
      new Promise((resolve, reject) => {
        manager
          .request(PREFIX + chatId, { ifAvailable: true }, (lock) => {
            if (lock === null) {
              resolve(null)
              return undefined
            }
            return new Promise<void>((release) => resolve(release))
          })
          .catch(reject)
      }),
    async held() {
      const { held = [] } = await manager.query()
      return new Set(held.flatMap(({ name }) => (name?.startsWith(PREFIX) === true ? [name.slice(PREFIX.length)] : [])))
    },
  }
}
