/** The mark and the few icons, drawn for this project: strokes of one width in the text's colour, hidden from readers. */
import type { ComponentChildren } from 'preact'

/** Three tabs leaning on each other, joined by one line: the swarm. */
export function Mark({ size = 32 }: { size?: number }) {
  return (
    <svg class="mark" viewBox="0 0 48 48" width={size} height={size} aria-hidden="true">
      <path class="mark-back" d="M4.5 38 6 18.6c.2-2.2 1.6-3.5 3.8-3.6l7-.2c1.7 0 2.7.8 3.2 2.4l1 3.2L20 38Z" />
      <path class="mark-middle" d="m16 38 1.2-23.7c.1-2.2 1.5-3.6 3.7-3.7l7.2-.2c1.7 0 2.8.9 3.3 2.5l1.2 3.8L32 38Z" />
      <path class="mark-front" d="m28 38 .8-28c.1-2.3 1.5-3.7 3.8-3.8l6-.2c2.3 0 3.8 1.3 4 3.6L44 38Z" />
      <path class="mark-line" d="M5 42.2c8.6-1.3 15.5 1.1 22.5.1 5.8-.8 10.4-1.2 16-.1" />
      <circle class="mark-dot" cx="12.3" cy="28" r="2.1" />
      <circle class="mark-dot" cx="24.2" cy="26.5" r="2.1" />
      <circle class="mark-dot" cx="36.3" cy="25" r="2.1" />
      <path class="mark-thread" d="M14.4 27.8c2.7-.7 5-.9 7.7-1.1m4.2-.4c2.8-.3 5.1-.6 7.9-1.1" />
    </svg>
  )
}

function Icon({ children }: { children: ComponentChildren }) {
  return (
    <svg class="icon" viewBox="0 0 24 24" width="20" height="20" aria-hidden="true">
      {children}
    </svg>
  )
}

export const SendIcon = () => (
  <Icon>
    <path d="M12 19.5V5M5.5 11.2 12 4.7l6.5 6.5" />
  </Icon>
)
export const StopIcon = () => (
  <Icon>
    <rect x="6.5" y="6.5" width="11" height="11" rx="2" class="icon-solid" />
  </Icon>
)
export const RetryIcon = () => (
  <Icon>
    <path d="M18.8 13a7 7 0 1 1-1.7-5.6l2 1.9M19.3 4.6v4.8h-4.8" />
  </Icon>
)
export const ContinueIcon = () => (
  <Icon>
    <path d="M4.5 12h14M13 6.3l5.8 5.7-5.8 5.7" />
  </Icon>
)
export const CopyIcon = () => (
  <Icon>
    <rect x="8.5" y="8.5" width="11" height="11.5" rx="2" />
    <path d="M15.5 8.3V6a2 2 0 0 0-2-2H6.5a2 2 0 0 0-2 2v7.5a2 2 0 0 0 2 2h2" />
  </Icon>
)
export const PlusIcon = () => (
  <Icon>
    <path d="M12 5.2v13.6M5.2 12h13.6" />
  </Icon>
)
export const TrashIcon = () => (
  <Icon>
    <path d="M5 7h14M9.7 7V4.8h4.6V7M7 7l.8 12.2h8.4L17 7" />
  </Icon>
)
export const RenameIcon = () => (
  <Icon>
    <path d="M5 19.2l.9-3.9L16.3 4.9l3 3L8.9 18.3ZM14 7.3l3 3" />
  </Icon>
)
export const MenuIcon = () => (
  <Icon>
    <path d="M4.5 7.5h15M4.5 12.2h15M4.5 16.8h9.5" />
  </Icon>
)
export const CloseIcon = () => (
  <Icon>
    <path d="m6.5 6.5 11 11M17.5 6.5l-11 11" />
  </Icon>
)
export const TuneIcon = () => (
  <Icon>
    <path d="M4.5 8h8.3m4.7 0h2M4.5 16h2m4.7 0h8.3" />
    <circle cx="15.2" cy="8" r="2.3" />
    <circle cx="8.8" cy="16" r="2.3" />
  </Icon>
)
export const EyeIcon = () => (
  <Icon>
    <path d="M3.5 12.2c2.2-3.9 5-5.8 8.5-5.8s6.3 1.9 8.5 5.8c-2.2 3.7-5 5.5-8.5 5.5s-6.3-1.8-8.5-5.5Z" />
    <circle cx="12" cy="12" r="2.6" />
  </Icon>
)
