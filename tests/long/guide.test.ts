/** The guide's own code blocks, in Korean; `tests/e2e/guide.test.ts` has the English ones. */
import { followGuide } from '../support/follow-guide.ts'

followGuide('ko')
