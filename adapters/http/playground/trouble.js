/** An error for the user; `again` is whether a retry may help. */
export class Trouble extends Error {
  constructor(sentence, { again = false } = {}) {
    super(sentence);
    this.again = again;
  }
}
