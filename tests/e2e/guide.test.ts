/** The guide's own code blocks, in English; `tests/long/guide.test.ts` has the Korean ones. */
import { followGuide } from '../support/follow-guide.ts'

followGuide('en')
