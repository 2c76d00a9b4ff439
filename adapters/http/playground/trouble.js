/** Something that the user should know in words; `again` says whether asking again may help. */
export class Trouble extends Error {
  constructor(sentence, { again = false } = {}) {
    super(sentence);
    this.again = again;
  }
}
