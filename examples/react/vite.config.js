import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

export default defineConfig({
  plugins: [react()],
  // The client is linked from this repository, where it has a React of its own. With the packed
  // one (make client) these two lines can go.
  resolve: { dedupe: ["react"] },
  optimizeDeps: { include: ["ws-gateway-client/react"] },
  server: {
    host: "localhost",
    port: 5173,
    strictPort: true, // gateway.yaml allows pages of this port
    proxy: {
      "/login": "http://localhost:8888", // the app
      "/ws": { target: "ws://localhost:40010", ws: true }, // the gateway
    },
  },
});
