/** The part of DOMPurify that the page uses. */
declare const DOMPurify: { sanitize(html: string, options: object): DocumentFragment | string };
export default DOMPurify;
