# The example for Express, from the folder examples.
FROM node:22-alpine
WORKDIR /chat/express
COPY express/package.json express/package-lock.json ./
RUN npm ci --omit=dev
COPY express/app.js express/gateway.js ./
COPY page.html ../
USER node
CMD ["node", "app.js"]
