/** The batch that is being handled, and the index of the record in it that the handler was called with. */
export const current = {
  /** Null during init. */
  batch: null,
  /** Null during init and while effects are handed over. */
  index: null,
};
