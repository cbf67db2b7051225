"use strict";
// Swagger UI, with our own XSRF token on every request that it tries out
const docs = document.getElementById("docs");
SwaggerUIBundle({
  url: docs.dataset.openapi,
  domNode: docs,
  deepLinking: true,
  validatorUrl: null,
  requestInterceptor: (request) => {
    request.headers["X-Xsrftoken"] = docs.dataset.xsrf;
    return request;
  },
});
