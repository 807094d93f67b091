export { Client } from "./client.js";
export { defaults } from "./options.js";
