/** Opens the room that the page's address names, and shows it. */

import { mount } from "svelte";
import App from "./App.svelte";
import "./app.css";
import { openRoom } from "./net/open-room";

const target = document.getElementById("app");
if (!target) throw new Error("expected an element with the id app in index.html");

const roomId = location.pathname.split("/")[2] ?? "";
mount(App, { target, props: { room: openRoom({ roomId }) } });
